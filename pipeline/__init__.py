"""Who runs the stages: plan, ledger, runtimes, command line. The only importer of ray."""
