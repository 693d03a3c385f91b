//go:build mutants

package mutant

// Bug says what a mutant is.
type Bug struct {
	Mutant Mutant
	Name   string // on the command line
	Room   string
	Breaks string
	Seeds  int // it is found within so many of the simulator's, from seed 1 on
}

// All lists every bug.
var All = []Bug{
	{VoteTwice, "vote-twice", "raft", "a vote is given to everybody who asks for it", 20},
	{VoteForOldLogs, "vote-for-old-logs", "raft", "a candidate may lack what the voter has", 20},
	{ForgetVote, "forget-vote", "raft", "a restart forgets for whom it has voted in its term", 20},
	{ElectByMinority, "elect-by-minority", "raft/quorum", "half of a group, rounded down, is enough to lead", 20},
	{MatchAnything, "match-anything", "raft", "entries are taken that don't join on to the log", 20},
	{VoteBeforeDurable, "vote-before-durable", "raft", "a vote leaves before it is durable", 20},
	{CommitByMinority, "commit-by-minority", "raft/quorum", "half of a group, rounded down, is enough to commit", 20},
	{AckBeforeDurable, "ack-before-durable", "raft", "entries are acknowledged before they are durable", 20},
	{CutOnRepeat, "cut-on-repeat", "raft", "a repeated append cuts off what came after it", 20},
	{VouchForReplaced, "vouch-for-replaced", "raft", "a late write vouches for entries that have replaced its own", 1000},
	{ReadUnconfirmed, "read-unconfirmed", "raft", "a leader answers reads without asking whether it still leads", 500},

	{CheckpointBehind, "checkpoint-behind", "replica", "a checkpoint names an index before the last one it contains", 20},
	{SkipFirstAfterStart, "skip-first-after-start", "replica", "the first entry after a start isn't applied", 50},
	{CompactAhead, "compact-ahead", "replica", "the log is dropped up to a checkpoint that is still being written", 20},

	{ForgetFinished, "forget-finished", "coordinator", "what is settled and stored is no longer known", 50},

	{CommitUnstaged, "commit-unstaged", "coordinator/driver", "all yes is enough to commit, staged or not", 250},
	{CommitOnOneYes, "commit-on-one-yes", "coordinator/driver", "the first bank's yes is enough to commit", 20},
	{AbortOnNoAtOnce, "abort-on-no-at-once", "coordinator/driver", "the client hears of an abort before it is in the log", 50},
	{AbortOnGuess, "abort-on-guess", "coordinator/driver", "a new leader aborts what is past its deadline without asking the banks", 100},
	{NeverRepeat, "never-repeat", "coordinator/driver", "what a bank doesn't answer isn't asked again", 20},

	{NoIsNotFinal, "no-is-not-final", "ledger", "a refused prepare leaves nothing behind", 250},
	{RollbackWithoutTombstone, "rollback-without-tombstone", "ledger", "a rollback of something unknown leaves nothing behind", 250},
	{PrepareOtherContent, "prepare-other-content", "ledger", "a hold answers yes to other content", 250},
	{HoldsAreSpendable, "holds-are-spendable", "ledger", "what is held can be held again", 100},
	{IncomingIsSpendable, "incoming-is-spendable", "ledger", "a credit can be spent before it is committed", 100},
	{OverdraftIsFree, "overdraft-is-free", "ledger", "no debit is too large", 20},
	{RollbackKeepsHeld, "rollback-keeps-held", "ledger", "a rollback doesn't give back what was held", 20},
	{DropCheckpointedHold, "drop-checkpointed-hold", "ledger", "a restart forgets a hold", 50},
	{EntryWithoutLeg, "entry-without-leg", "ledger", "the last leg of a transfer becomes no entry", 20},

	{ReadsWithoutBound, "reads-without-bound", "lane", "as many reads wait at a leader as come", 50},
	{LetGoAtOnce, "let-go-at-once", "lane", "who has left a group is let go before those who stay know for good that it has", 500},
	{TakeOutStrangers, "take-out-strangers", "lane", "a leader takes out members that its old directory doesn't know", 1000},
	{ReleaseEarly, "release-early", "lane", "what may leave after a write leaves before it", 20},
	{LeadTooSoon, "lead-too-soon", "lane", "a leader works before it has applied what was committed before its time", 20},
	{DropSettle, "drop-settle", "lane", "what is settled is written down only when something else is", 20},
	{NeverInquire, "never-inquire", "lane", "banks never ask about old holds", 100},
	{WaitOutHolds, "wait-out-holds", "ledger", "a bank asks about a client's hold only when its time has passed", 2000},
	{IgnoreLevel, "ignore-level", "lane", "holds are taken while a node runs a version that doesn't know them", 20},
	{EarlyRuns, "early-runs", "lane", "checkpoints have runs while a node runs a version that can't read them", 100},
}
