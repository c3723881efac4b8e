"""Benchmarks: quality, speed and memory of warmstart and of other tools (``python -m benchmarks``).

    __main__      the command: runs a suite, prints a table, writes a dated file to ``results/``
    training      speed, memory and share of the machine's limit, by engine and workload
    generation    tokens per second of text generation, compared with ``generate``
    quality       scores on CoLA, compared with the ``Trainer`` for the same settings and seeds
    preparation   rows per second from the file to tokenised, checked splits
    seeds         coverage of the interval of a mean over seeds, by simulation
    scale         time and memory of preparation and training, up to five million rows
    startup       duration of ``import warmstart`` and ``warmstart --help``
    table         the READMEs' table, from ``results/``

The modules of ``training``, in the order of their use:

    workloads     the workloads and their targets, as data
    corpora       the texts
    materials     turns a workload into rows, files and a checkpoint
    engines       the engines and their batches:
                  ours (warmstart), peers (the ``Trainer``), tutorial (the plain loop),
                  rerankers (sentence-transformers, SetFit), predicting (inference),
                  language (Trainer and plain loop for decoders)
    window        measures time, memory and work
    limit         the least time that the machine needs
    outcome       rows, verdicts and result files
    machine       facts about the machine; one process per measurement
    cola          CoLA as in the recipe, for the other suites

``log.md`` records expectations, results and failed attempts. To add a suite, write a module with
``DESCRIPTION``, ``add_options`` and ``run``, and add it to ``SUITES``. To add a workload or an
engine, add it to ``workloads`` or ``engines``.
"""
