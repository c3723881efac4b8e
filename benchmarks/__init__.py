"""How good, how fast and how large warmstart is, beside the usual ways: ``python -m benchmarks``.

    __main__      the command: one suite, one table, one dated JSON file in ``results/``
    quality       scores on CoLA against Transformers' ``Trainer`` at the same settings and seeds
    training      samples and tokens a second of the loop, interleaved with the peers
    preparation   rows a second from the file to tokenised, checked splits
    scale         time and memory by rows, preparing and training, up to five million rows
    startup       how long ``import warmstart`` and ``warmstart --help`` keep a person waiting
    peers         the other ways of doing it
    cola          the workload
    outcome       rows and verdicts, and how they are written down
    machine       what it ran on; one process for each measurement

``log.md`` keeps what was expected, what came out, and what did not help. To add a suite: a module
with ``DESCRIPTION``, ``add_options`` and ``run``, and its line in ``SUITES``. To add a peer: a
function in ``peers`` and its line in the suite's ``ENGINES``.
"""
