// Package mutant is bugs that are planted on purpose, so that the simulator can be shown to find them.
//
// It never is in a binary that anybody uses: without the build tag "mutants", On is a constant false, and the
// compiler leaves out what depends on it. With the tag, one bug at a time can be switched on for the whole process.
package mutant

// Mutant is one bug.
type Mutant uint8

// The bugs, by the room in which they are planted. mutants.go says what each breaks.
const (
	VoteTwice Mutant = iota + 1 // zero is none
	VoteForOldLogs
	ForgetVote
	ElectByMinority
	MatchAnything
	VoteBeforeDurable
	CommitByMinority
	AckBeforeDurable
	CutOnRepeat
	VouchForReplaced
	ReadUnconfirmed

	CheckpointBehind
	SkipFirstAfterStart
	CompactAhead

	ForgetFinished

	CommitUnstaged
	CommitOnOneYes
	AbortOnNoAtOnce
	AbortOnGuess
	NeverRepeat

	NoIsNotFinal
	RollbackWithoutTombstone
	PrepareOtherContent
	HoldsAreSpendable
	IncomingIsSpendable
	OverdraftIsFree
	RollbackKeepsHeld
	DropCheckpointedHold
	EntryWithoutLeg

	ReadsWithoutBound
	LetGoAtOnce
	TakeOutStrangers
	ReleaseEarly
	LeadTooSoon
	DropSettle
	NeverInquire
	WaitOutHolds
	IgnoreLevel
	EarlyRuns
)
