"""A night at work: frames into the ledger, jobs out of the plan, what operators ask for, what stands where."""
