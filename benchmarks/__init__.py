"""How good, how fast and how large warmstart is, beside the usual ways: ``python -m benchmarks``.

    __main__      the command: one suite, one table, one dated JSON file in ``results/``
    training      speed, memory and share of the machine's limit of every engine on every workload
    generation    tokens a second of a language model that writes, beside ``generate``
    quality       scores on CoLA against Transformers' ``Trainer`` at the same settings and seeds
    preparation   rows a second from the file to tokenised, checked splits
    scale         time and memory by rows, preparing and training, up to five million rows
    startup       how long ``import warmstart`` and ``warmstart --help`` keep a person waiting
    table         the READMEs' table, from ``results/``

What ``training`` is made of, in the order in which it is used:

    workloads     what is measured, as data, with the targets
    corpora       the texts
    materials     from a workload to rows, files and a checkpoint
    engines       who does it, and which batches each is given:
                  ours (warmstart), peers (the ``Trainer``), tutorial (the plain loop),
                  rerankers (sentence-transformers, SetFit), predicting,
                  language (both of them for models that write)
    window        what is timed
    limit         the least time that the machine needs
    outcome       rows and verdicts, and how they are written down
    machine       what it ran on; one process for each measurement
    cola          CoLA as the recipe reads it, for the other suites

``log.md`` keeps what was expected, what came out, and what did not help. To add a suite: a module
with ``DESCRIPTION``, ``add_options`` and ``run``, and its line in ``SUITES``. To add a workload or
an engine: its lines in ``workloads`` or ``engines``.
"""
