"""Settings: defaults and limits, YAML files and recipes, and the error messages about them.

The groups of settings are re-exported here. ``config_file`` reads and writes them.
"""

from warmstart.config.file_formats import FORMAT_SETTINGS as FORMAT_SETTINGS
from warmstart.config.file_formats import Source as Source
from warmstart.config.file_formats import Sources as Sources
from warmstart.config.model_settings import BYTES_AND_END as BYTES_AND_END
from warmstart.config.model_settings import CLOSED as CLOSED
from warmstart.config.model_settings import AverageConfig as AverageConfig
from warmstart.config.model_settings import ControlTokens as ControlTokens
from warmstart.config.model_settings import ExportConfig as ExportConfig
from warmstart.config.model_settings import GenerateConfig as GenerateConfig
from warmstart.config.model_settings import LoraConfig as LoraConfig
from warmstart.config.model_settings import ModelConfig as ModelConfig
from warmstart.config.model_settings import PretrainConfig as PretrainConfig
from warmstart.config.model_settings import SpecialTokens as SpecialTokens
from warmstart.config.settings import DataConfig as DataConfig
from warmstart.config.settings import RunConfig as RunConfig
from warmstart.config.train_settings import DEFAULT_WARMUP_SHARE as DEFAULT_WARMUP_SHARE
from warmstart.config.train_settings import LIST_LOSSES as LIST_LOSSES
from warmstart.config.train_settings import SEEDS as SEEDS
from warmstart.config.train_settings import Auto as Auto
from warmstart.config.train_settings import LossName as LossName
from warmstart.config.train_settings import ResolvedTrainConfig as ResolvedTrainConfig
from warmstart.config.train_settings import SeedUse as SeedUse
from warmstart.config.train_settings import TrainConfig as TrainConfig
