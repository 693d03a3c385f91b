/*
 * One transfer id under the commit protocol, for SPIN: every order in which coordinators, banks, clients and the network can act.
 * How it is modelled, why that is fair, and how to read what a run says: README.md. check.sh runs it.
 *
 * With -DHOLD the transfer is a hold: its banks' votes make it held, and a client captures it, in full or in part, or voids it, or its time ends.
 *
 * Names are those of the code. A comment above an inline names the function that it stands for.
 */

/* A reign is what one coordinator remembers between Lead and Depose. They begin one after another, and overlap. */
#ifndef REIGNS
#define REIGNS 2
#endif

/* How many contents clients submit under the one id. 1 and 3 have legs at both banks, 2 has legs at bank 1 only. */
#ifndef CONTENTS
#define CONTENTS 1
#endif
#define touches(c, b) ((c) != 2 || (b) == 1)

/* The rules, named as in docs/protocol.md. -DWITHOUT=... breaks one, and the comment says how. */
#define NO_IS_FINAL                   1 /* a bank forgets its no */
#define YES_IS_FINAL                  2 /* a hold expires by itself */
#define ANSWERS_ARE_DURABLE           3 /* a bank restarts without its hold */
#define STAGED_MEANS_ACCEPTED         4 /* a Stage in the log counts, even if the machine refused it */
#define COMMIT_WAITS_FOR_STAGING      5 /* all votes are in: "committed" is told before the Stage is in the log */
#define ABORT_WAITS_FOR_ITS_ENTRY     6 /* "aborted" is told when it is proposed */
#define NO_ABORT_ON_A_GUESS           7 /* past the deadline, what another reign staged is aborted without asking the banks */
#define RESOLVE_LEAVES_A_TOMBSTONE    8 /* a bank answers "rolled back" and may still prepare */
#define LATE_PREPARE_IS_REFUSED       9 /* a bank prepares what it has rolled back */
#define TOMBSTONE_BEFORE_ANSWER      10 /* an inquiry about an unknown id is answered at once */
#define ONE_ID_ONE_CONTENT           11 /* who submits other content hears the outcome of the first */
#define RESOLVE_NAMES_ITS_CONTENT    12 /* a bank that holds other content answers "prepared" */
#define ANSWERS_NAME_THEIR_CONTENT   13 /* a yes to what an earlier reign asked counts for other content */
#define COMMIT_NEEDS_A_LEG           14 /* a bank that inquires is told to commit what doesn't touch it */
#define DEPOSE_BEFORE_LATER_STAGES   15 /* a coordinator takes a later reign's Stage for its own */
#define DECIDED_IS_DRIVEN            16 /* a new leader leaves decided transfers alone */
#define BANKS_INQUIRE                17 /* banks wait for ever */
#define CANCEL_ASKS_THE_BANKS        18 /* a client's cancel aborts what another reign staged without asking the banks */
#define CANCEL_WAITS_FOR_ITS_ENTRY   19 /* "cancelled" is told when the abort is only proposed */
#define CANCEL_SAYS_WHAT_HAPPENED    20 /* who cancels hears "cancelled", even of what is committed */
#define CANCEL_CLOSES_THE_ID         21 /* who cancels an unknown id hears "cancelled" before the tombstone is in the log */
#define TOMBSTONE_YIELDS             22 /* a cancel closes an id whose Stage is under way, and the tombstone wins against it */
#define HOLD_WAITS_FOR_ITS_CLIENT    23 /* all votes are in: a hold is committed */
#define HOLD_ENDS_ONCE               24 /* a void is taken while a capture is on its way into the log */
#define HOLD_END_WAITS_FOR_ITS_ENTRY 25 /* a capture is told when it is only proposed */
#define HOLD_COMMIT_NAMES_AMOUNTS    26 /* a new leader has a bank commit all of what was captured in part */
#define HOLD_IS_DRIVEN               27 /* a new leader leaves holds alone */
#ifndef WITHOUT
#define WITHOUT 0
#endif
#define rule(r) (WITHOUT != (r))

#ifdef HOLD
#define isHold 1
#else
#define isHold 0
#endif

/* -- What is in the log (coordinator.Fact). The number of a content stages it. */

#define COMMIT    4 /* Decide(commit) */
#define ABORT     5 /* Decide(abort) */
#define TOMBSTONE 6 /* Decide(abort) of what nobody has staged */
#define SETTLE    7
#define HELD_     8 /* Hold: every bank has reserved its part */
#define CAPTURE   9 /* Decide(commit) of a part of a hold */
#define isStage(fact) ((fact) < COMMIT)

/* -- What a machine knows of the id (coordinator.Record) */

#define UNKNOWN   0
#define PENDING   1
#define COMMITTED 2
#define ABORTED   3
#define ONHOLD    7 /* transfer.Held */

typedef Record {
	byte state;
	byte content; /* 0: unknown, or a tombstone's */
	bit settled;
	bit part      /* of a hold, a part is captured */
}

/* -- What a coordinator remembers (driver.Driver, driver.flight). COMMITTED, ABORTED and ONHOLD are phases, too. */

#define NONE      0
#define VOTING    4
#define RESOLVING 5
#define ABORTING  6
#define HOLDING   8
#define CAPTURING 9

#define FACTS_MAX 3

typedef Reign {
	bit gone;             /* Depose, or a crash */
	Record view;          /* the machine, as far as this coordinator has applied the log */
	byte fact[FACTS_MAX]; /* proposed and not yet applied here, oldest first */
	byte facts;
	byte chosen;          /* so many of them are in the agreed log */
	byte phase;
	byte content;
	bit mine;
	bit staged;
	bit part;             /* a part of the hold is captured */
	bit answered[2];      /* slot.prepared while voting or resolving, slot.done once committed or aborted */
	bit inquired[2];      /* a tombstone is proposed (driver.closing), and this bank waits for it */
	bit cancelled         /* … or a client does, who cancelled the unknown id */
}

Reign reign[REIGNS];
byte current;  /* the newest; the others are deposed, whether they know it or not */
Record agreed; /* the machine after everything that is in the agreed log */

/* -- What a bank knows (ledger) */

#define FREE       0
#define HELD       1
#define POSTED     2
#define REFUSED    3
#define ROLLEDBACK 4

typedef Bank {
	byte state;
	byte about; /* the content that it has once said yes to */
	bit part;   /* it has posted a part of a hold */
	bit sent[9] /* requests that somebody has sent; each may arrive never, now, later, and again */
}

#define toCommitPart 0
#define toPrepare(c) (c)
#define toResolve(c) (3 + (c))
#define toCommit     7
#define toRollback   8

Bank bank[2];

#define NAME(b) (65 + (b)) /* A or B, where it is printed */

/* -- What clients have heard, by content. Who cancelled an id that nobody knew has heard it of every content. */

bit heardCommitted[4];
bit heardAborted[4];

/* What clients have done with a hold, by whether they captured a part of it. */

bit captured[2];

/* == The promises ========================================================================================== */

#define posted(c, b)  (bank[b].state == POSTED && bank[b].about == (c))
#define kept(c, b)    (bank[b].about == (c) && (bank[b].state == HELD || bank[b].state == POSTED))
#define everywhere(c) ((kept(c, 0) || !touches(c, 0)) && kept(c, 1))
#define nowhere(c)    (!posted(c, 0) && !posted(c, 1))

/* Where one bank has posted a content, every bank of that content has, or holds it and can. */
#define atomic_(c)     (nowhere(c) || everywhere(c))
#define atomicity      (atomic_(1) && atomic_(2) && atomic_(3) && !posted(2, 0))

/* What a client heard to be committed is never refused, rolled back or missing at any bank, nor aborted in the log. */
#define true_(c)       (!heardCommitted[c] || (everywhere(c) && agreed.state != ABORTED))
#define committedStays (true_(1) && true_(2) && true_(3))

/* What a client heard to be aborted, or cancelled, is never posted at any bank, nor committed in the log. */
#define false_(c)      (!heardAborted[c] || (nowhere(c) && agreed.state != COMMITTED))
#define abortedStays   (false_(1) && false_(2) && false_(3))

/* No two clients hear different things. (That the log never changes its mind is asserted in decide.) */
#define heardBoth      ((heardCommitted[1] || heardCommitted[2] || heardCommitted[3]) && (heardAborted[1] || heardAborted[2] || heardAborted[3]))

/* A hold moves no money that nobody captured, and the same part at every bank. */
#define asCaptured_(b) (bank[b].state != POSTED || (captured[bank[b].part] && (agreed.state != COMMITTED || agreed.part == bank[b].part)))
#define asCaptured     (!isHold || (asCaptured_(0) && asCaptured_(1)))

/* In the end every transfer is decided and every bank has confirmed, nothing is held, and who cancelled has heard what happened. */
#define isDecided  (agreed.state == COMMITTED || agreed.state == ABORTED)
#define everythingEnded \
	(bank[0].state != HELD && bank[1].state != HELD && !reign[current].cancelled && (agreed.state == UNKNOWN || (isDecided && agreed.settled)))

/* What must be reachable, or the promises would be empty. -DWITNESS=... has SPIN find it. */
#define PAID                   (posted(1, 0) && posted(1, 1) && heardCommitted[1] && agreed.settled)
#define REFUSED_BY_ONE         (bank[0].state == REFUSED && bank[1].about == 1 && heardAborted[1] && agreed.settled)
#define TOLD_BY_A_DEPOSED      (current == 1 && reign[0].phase == COMMITTED && agreed.state == PENDING && reign[1].phase == RESOLVING)
#define ABORT_IS_LOST          (current == 1 && reign[0].phase == ABORTING && reign[1].phase == COMMITTED && agreed.content == 1)
#define ORPHANS_CLOSED         (bank[0].about == 1 && bank[1].about == 1 && agreed.content == 0 && agreed.state == ABORTED)
#define TOMBSTONE_FIRST        (reign[1].phase == VOTING && reign[1].view.state == ABORTED && reign[1].fact[0] == 1)
#define CANCELLED_FIRST        (reign[1].cancelled && reign[1].phase == VOTING && reign[1].chosen == 1)
#define TWO_CONTENTS           (bank[0].about == 1 && posted(2, 1) && agreed.settled)
#define HOLD_CAPTURED_IN_PART  (posted(1, 0) && bank[0].part && posted(1, 1) && bank[1].part && agreed.settled && current == 1)
#define HOLD_VOIDED_MEANWHILE  (current == 1 && reign[0].phase == CAPTURING && agreed.state == ABORTED && bank[0].about == 1 && bank[1].about == 1)

/* == coordinator: the machine ============================================================================== */

/* Machine.stage. A decision stands, and so would the first content. Only a tombstone is ever met: what a reign stages is unknown to it, its
 * own tombstone may be under way, and no other reign's entries come in between. */
inline stage(record, which)
{
	if
	:: record.state == UNKNOWN -> record.state = PENDING; record.content = which
	:: else                    -> assert(record.state == ABORTED && record.content == 0)
	fi
}

/* Machine.hold */
inline becomeHeldIn(record)
{
	assert(isHold && (record.state == PENDING || record.state == ONHOLD));
	record.state = ONHOLD
}

/* Machine.decide. The asserts are its invariants: what was never staged isn't decided, no hold is committed that isn't held, and a decision is
 * never replaced. */
inline decide(record, outcome, inPart)
{
	assert(record.state == PENDING || record.state == ONHOLD || record.state == outcome);
	assert(!isHold || outcome != COMMITTED || record.state != PENDING || !rule(HOLD_WAITS_FOR_ITS_CLIENT));
	record.state = outcome;
	record.part = inPart
}

/* Machine.decide of a tombstone: an unknown id is closed for ever. A Stage that came first would win; none does, as above. */
inline closeUnknown(record)
{
	if
	:: record.state == UNKNOWN                            -> record.state = ABORTED; record.settled = 1
	:: record.state == PENDING && !rule(TOMBSTONE_YIELDS) -> record.state = ABORTED
	:: else                                               -> assert(!rule(TOMBSTONE_YIELDS))
	fi
}

/* Machine.settle */
inline settle(record)
{
	assert(record.state == COMMITTED || record.state == ABORTED);
	record.settled = 1
}

inline sayFact(what)
{
	if
	:: isStage(what)     -> printf("stage content %d\n", what)
	:: what == COMMIT    -> printf("decide commit\n")
	:: what == ABORT     -> printf("decide abort\n")
	:: what == TOMBSTONE -> printf("tombstone\n")
	:: what == SETTLE    -> printf("settle\n")
	:: what == HELD_     -> printf("hold\n")
	:: what == CAPTURE   -> printf("decide commit of a part\n")
	fi
}

/* Machine.applyFact */
inline applyFact(record, what)
{
	if
	:: isStage(what)     -> stage(record, what)
	:: what == COMMIT    -> decide(record, COMMITTED, 0)
	:: what == ABORT     -> decide(record, ABORTED, 0)
	:: what == TOMBSTONE -> closeUnknown(record)
	:: what == SETTLE    -> settle(record)
	:: what == HELD_     -> becomeHeldIn(record)
	:: what == CAPTURE   -> decide(record, COMMITTED, 1)
	fi
}

/* == bank: the law, as ledger keeps it ===================================================================== */

/* Ledger.prepare. Whether the money is there is not the coordinator's to know: the bank may say either. */
#define canHold(b)   (bank[b].state == FREE || (bank[b].state == ROLLEDBACK && !rule(LATE_PREPARE_IS_REFUSED)))
#define canRefuse(b) (bank[b].state == FREE && rule(NO_IS_FINAL))

inline hold(b, which)
{
	printf("bank %c says yes, and holds content %d\n", NAME(b), which);
	bank[b].state = HELD;
	bank[b].about = which
}

inline refuse(b)
{
	printf("bank %c says no\n", NAME(b));
	bank[b].state = REFUSED
}

/* Ledger.commit. Of what isn't prepared it would answer Violation; nobody must ever ask that. */
inline commit(b, inPart)
{
	printf("bank %c is to commit\n", NAME(b));
	assert(bank[b].state == HELD);
	bank[b].state = POSTED;
	bank[b].part = inPart
}

/* Ledger.rollback. Of what is committed it would answer Violation. */
#define isRolledBack(b) (bank[b].state == ROLLEDBACK || bank[b].state == REFUSED)

inline rollback(b)
{
	printf("bank %c is to roll back\n", NAME(b));
	assert(bank[b].state != POSTED);
	bank[b].state = ROLLEDBACK
}

/* Ledger.resolve: what was never prepared is rolled back from here on. */
#define canClose(b) (bank[b].state == FREE && rule(RESOLVE_LEAVES_A_TOMBSTONE))

/*
 * The answers that are on their way from a bank, which has executed the request now or earlier. A no never becomes untrue.
 * A yes may be late: from a bank that has said yes and was rolled back since, either may arrive.
 */
#define saysYes(b, c)        (bank[b].about == (c) || (!rule(ANSWERS_NAME_THEIR_CONTENT) && bank[b].about != 0))
#define saysPrepared(b, c)   (bank[b].about == (c) || (!rule(RESOLVE_NAMES_ITS_CONTENT) && bank[b].about != 0)) /* or Committed */
#define isShut(b, c)         (isRolledBack(b) || (bank[b].about != 0 && bank[b].about != (c)))
#define saysNo(b, c)         (isShut(b, c) || (!rule(NO_IS_FINAL) && bank[b].state == FREE))
#define saysRolledBack(b, c) (isShut(b, c) || (!rule(RESOLVE_LEAVES_A_TOMBSTONE) && bank[b].state == FREE))
#define saysCommitted(b)     (bank[b].state == POSTED)

/* == coordinator/driver ==================================================================================== */

/* Driver.Take, coordinatorHost.propose. What a deposed coordinator proposes is never chosen. */
inline propose(k, what)
{
	if
	:: k == current -> assert(reign[k].facts < FACTS_MAX); reign[k].fact[reign[k].facts] = what; reign[k].facts++
	:: else
	fi
}

/* Driver.ask: every bank of the transfer is asked op next. A bank without a leg has nothing to answer. */
inline ask(k, op)
{
	reign[k].answered[0] = !touches(reign[k].content, 0);
	reign[k].answered[1] = 0;
	if
	:: touches(reign[k].content, 0) -> bank[0].sent[op] = 1
	:: else
	fi;
	bank[1].sent[op] = 1
}

/* Driver.ask of Commit, which names what is captured (slot.request) */
inline askToCommit(k)
{
	if
	:: reign[k].part -> ask(k, toCommitPart)
	:: else          -> ask(k, toCommit)
	fi
}

/* flight.isCommitted: the commit condition. A hold's is a capture in the log. */
#define isCommitted(k) (isPrepared(k) && (!isHold || !rule(HOLD_WAITS_FOR_ITS_CLIENT)))

/* flight.isPrepared */
#define isPrepared(k) \
	((reign[k].staged || !rule(COMMIT_WAITS_FOR_STAGING)) && (reign[k].phase == VOTING || reign[k].phase == RESOLVING) && \
	 reign[k].answered[0] && reign[k].answered[1])

/* Driver.tell, Driver.reply. Somebody always waits for the answer. */
inline hearCommitted(k, which)
{
	printf("coordinator %d tells the client of content %d: committed\n", k, which);
	heardCommitted[which] = 1
}

inline hearAborted(k, which)
{
	printf("coordinator %d tells the client of content %d: aborted\n", k, which);
	heardAborted[which] = 1
}

inline hearCancelled(k)
{
	printf("coordinator %d tells who cancelled the id: aborted\n", k);
	heardAborted[1] = 1;
	heardAborted[2] = CONTENTS > 1;
	heardAborted[3] = CONTENTS > 2
}

/* Driver.becomeCommitted */
inline becomeCommitted(k)
{
	reign[k].phase = COMMITTED;
	reign[k].mine = 0;
	hearCommitted(k, reign[k].content);
	askToCommit(k)
}

/* Driver.decideIfCommitted, Driver.holdIfPrepared */
inline decideIfCommitted(k)
{
	if
	:: isCommitted(k)                   -> propose(k, COMMIT); becomeCommitted(k)
	:: !isCommitted(k) && isPrepared(k) -> propose(k, HELD_); reign[k].phase = HOLDING
	:: else
	fi
}

/* Driver.onHeld, Driver.becomeHeld: from here on a client decides, or time. */
inline onHeld(k)
{
	if
	:: reign[k].phase == HOLDING -> reign[k].phase = ONHOLD
	:: else
	fi
}

/* Driver.Capture */
inline capture(k, inPart)
{
	printf("a client captures %d of 2 parts at coordinator %d\n", 2 - inPart, k);
	captured[inPart] = 1;
	reign[k].phase = CAPTURING;
	reign[k].part = inPart;
	if
	:: inPart -> propose(k, CAPTURE)
	:: else   -> propose(k, COMMIT)
	fi;
	if
	:: !rule(HOLD_END_WAITS_FOR_ITS_ENTRY) -> becomeCommitted(k)
	:: else
	fi
}

/* Driver.onDecided, of an abort: now it may be told. */
inline becomeAborted(k)
{
	reign[k].phase = ABORTED;
	reign[k].mine = 0;
	hearAborted(k, reign[k].content);
	ask(k, toRollback)
}

/* Driver.proposeAbort: no vote counts any more, and nobody hears of it yet. */
inline proposeAbort(k)
{
	reign[k].part = 0;
	reign[k].phase = ABORTING;
	reign[k].mine = 0;
	reign[k].answered[0] = 0;
	reign[k].answered[1] = 0;
	if
	:: reign[k].staged -> propose(k, ABORT)
	:: else
	fi;
	if
	:: !rule(ABORT_WAITS_FOR_ITS_ENTRY) -> becomeAborted(k)
	:: else
	fi
}

/* Driver.Void, Driver.Cancel and Driver.Tick, of what is held */
inline void_(k)
{
	printf("a hold is voided, or its time has passed, at coordinator %d\n", k);
	proposeAbort(k)
}

/* Driver.resolve */
inline resolve(k)
{
	reign[k].phase = RESOLVING;
	ask(k, toResolve(reign[k].content))
}

/* Driver.giveUp: the deadline has passed, or a client cancels. */
inline giveUp(k, guess)
{
	if
	:: reign[k].mine || guess   -> proposeAbort(k)
	:: !reign[k].mine && !guess -> resolve(k)
	fi
}

/* Driver.Tick */
inline onDeadline(k)
{
	printf("coordinator %d finds the deadline passed\n", k);
	giveUp(k, !rule(NO_ABORT_ON_A_GUESS))
}

/* Driver.settleIfDone: the decision is in the log, and every bank has confirmed it. */
#define isDone(k) \
	((reign[k].phase == COMMITTED || reign[k].phase == ABORTED) && reign[k].view.state == reign[k].phase && \
	 reign[k].answered[0] && reign[k].answered[1])

inline settleIfDone(k)
{
	if
	:: isDone(k) -> propose(k, SETTLE)
	:: else
	fi
}

/* Driver.onVote, of a yes; Driver.onResolved, of prepared or committed */
inline onYes(k, b)
{
	printf("coordinator %d hears yes from bank %c\n", k, NAME(b));
	reign[k].answered[b] = 1;
	decideIfCommitted(k)
}

/* Driver.onVote, of a no; Driver.onResolved, of rolled back */
inline onNo(k, b)
{
	printf("coordinator %d hears no from bank %c\n", k, NAME(b));
	proposeAbort(k)
}

/* Driver.onConfirmed */
inline onConfirmed(k, b)
{
	printf("coordinator %d hears from bank %c that it is done\n", k, NAME(b));
	reign[k].answered[b] = 1;
	settleIfDone(k)
}

/* Driver.drop; Driver.Applied, of Settled */
inline drop(k)
{
	reign[k].phase = NONE;
	reign[k].content = 0;
	reign[k].mine = 0;
	reign[k].staged = 0;
	reign[k].part = 0;
	reign[k].answered[0] = 0;
	reign[k].answered[1] = 0
}

/* Driver.onStaged: votes that came earlier count from here on. */
inline onStaged(k)
{
	reign[k].staged = 1;
	if
	:: reign[k].phase == ABORTING -> propose(k, ABORT)
	:: else                       -> decideIfCommitted(k)
	fi
}

/* Driver.onStageRefused. Within one reign only a tombstone can have come before the Stage, so there is nothing to recover. */
inline onStageRefused(k)
{
	assert(reign[k].view.state == ABORTED && reign[k].view.content == 0);
	hearAborted(k, reign[k].content);
	ask(k, toRollback); /* once, for what comes next forgets that it asked */
	drop(k)
}

/* Driver.onTombstone: the id is closed; now those who asked may hear it. */
inline onTombstone(k)
{
	if
	:: reign[k].inquired[0] -> bank[0].sent[toRollback] = 1; reign[k].inquired[0] = 0
	:: else
	fi;
	if
	:: reign[k].inquired[1] -> bank[1].sent[toRollback] = 1; reign[k].inquired[1] = 0
	:: else
	fi;
	if
	:: reign[k].cancelled -> hearCancelled(k); reign[k].cancelled = 0
	:: else
	fi
}

/* Driver.onDecided. The assert is its invariant. */
#define isTombstoneTo(k) (reign[k].phase == NONE || !reign[k].staged)

inline onDecided(k)
{
	if
	:: isTombstoneTo(k) -> onTombstone(k)
	:: else ->
		if
		:: reign[k].view.state == COMMITTED && reign[k].phase != COMMITTED -> reign[k].part = reign[k].view.part; becomeCommitted(k)
		:: reign[k].view.state == ABORTED && reign[k].phase != ABORTED ->
			assert(reign[k].phase != COMMITTED);
			becomeAborted(k)
		:: else
		fi;
		settleIfDone(k)
	fi
}

/* Driver.Applied, of Staged and StageRefused */
#define isAccepted(k) (reign[k].view.state == PENDING && reign[k].view.content == reign[k].content)

inline onStage(k)
{
	if
	:: isAccepted(k) || !rule(STAGED_MEANS_ACCEPTED) -> onStaged(k)
	:: else                                          -> onStageRefused(k)
	fi
}

inline forgetOldest(k)
{
	reign[k].fact[0] = reign[k].fact[1];
	reign[k].fact[1] = reign[k].fact[2];
	reign[k].fact[2] = 0;
	reign[k].facts--;
	reign[k].chosen--
}

/* coordinatorHost.Apply, Driver.Applied: this coordinator learns that its oldest proposal is in the log. */
inline apply(k)
{
	printf("coordinator %d applies its entry\n", k);
	applyFact(reign[k].view, reign[k].fact[0]);
	if
	:: isStage(reign[k].fact[0])   -> forgetOldest(k); onStage(k)
	:: reign[k].fact[0] == SETTLE  -> forgetOldest(k); drop(k)
	:: reign[k].fact[0] == HELD_   -> forgetOldest(k); onHeld(k)
	:: else                        -> forgetOldest(k); onDecided(k)
	fi
}

/* raft: a quorum has the oldest proposal that isn't chosen yet, so every later leader will have it. */
inline choose(k)
{
	printf("the log takes from coordinator %d: ", k);
	sayFact(reign[k].fact[reign[k].chosen]);
	applyFact(agreed, reign[k].fact[reign[k].chosen]);
	reign[k].chosen++
}

/* Driver.Submit, Driver.replyKnown. Other content gets an error, which says nothing about the outcome. */
#define sameContent(k, c)  (reign[k].view.content == (c) || reign[k].view.content == 0 || !rule(ONE_ID_ONE_CONTENT))
#define isDecidedFor(k, c) ((reign[k].view.state == COMMITTED || reign[k].view.state == ABORTED) && sameContent(k, c))

inline submit(k, which)
{
	printf("a client submits content %d at coordinator %d\n", which, k);
	if
	:: reign[k].view.state == UNKNOWN ->
		reign[k].phase = VOTING;
		reign[k].content = which;
		reign[k].mine = 1;
		propose(k, which);
		ask(k, toPrepare(which))
	:: isDecidedFor(k, which) && reign[k].view.state == COMMITTED -> hearCommitted(k, which)
	:: isDecidedFor(k, which) && reign[k].view.state == ABORTED   -> hearAborted(k, which)
	:: else
	fi
}

/* Driver.recover. By this coordinator's clock the deadline has passed, or it hasn't. */
inline recover(k, late)
{
	reign[k].content = reign[k].view.content;
	reign[k].staged = 1;
	if
	:: reign[k].view.state == PENDING && !late -> reign[k].phase = VOTING; ask(k, toPrepare(reign[k].content))
	:: reign[k].view.state == PENDING && late  -> onDeadline(k)
	:: reign[k].view.state == ONHOLD && rule(HOLD_IS_DRIVEN)  -> reign[k].phase = ONHOLD
	:: reign[k].view.state == ONHOLD && !rule(HOLD_IS_DRIVEN) -> drop(k)
	:: (reign[k].view.state == COMMITTED || reign[k].view.state == ABORTED) && !rule(DECIDED_IS_DRIVEN) -> drop(k)
	:: reign[k].view.state == COMMITTED && rule(DECIDED_IS_DRIVEN) -> reign[k].part = reign[k].view.part && rule(HOLD_COMMIT_NAMES_AMOUNTS); becomeCommitted(k)
	:: reign[k].view.state == ABORTED && rule(DECIDED_IS_DRIVEN)   -> becomeAborted(k)
	fi
}

#define isClosing(k)    (reign[k].inquired[0] || reign[k].inquired[1] || reign[k].cancelled)

/* Who waits for a tombstone that is lost asks again, at the next leader (Driver.Depose). */
#define hasTombstone(k) (reign[k].fact[0] == TOMBSTONE || reign[k].fact[1] == TOMBSTONE || reign[k].fact[2] == TOMBSTONE)

inline forgetClosing(k)
{
	reign[k].inquired[0] = 0;
	reign[k].inquired[1] = 0;
	reign[k].cancelled = 0
}

/* Driver.Lead. What the reign before has proposed is in the log by now, or lost. */
inline lead(late)
{
	do
	:: reign[current].facts > reign[current].chosen -> reign[current].facts--; reign[current].fact[reign[current].facts] = 0
	:: else -> break
	od;
	if
	:: isClosing(current) && !hasTombstone(current) -> forgetClosing(current)
	:: else
	fi;
	current++;
	printf("coordinator %d leads\n", current);
	reign[current].view.state = agreed.state;
	reign[current].view.content = agreed.content;
	reign[current].view.settled = agreed.settled;
	reign[current].view.part = agreed.part;
	if
	:: agreed.state != UNKNOWN && !agreed.settled -> recover(current, late)
	:: else
	fi
}

/* Driver.Depose, or the process dies. */
inline depose(k)
{
	printf("coordinator %d is gone\n", k);
	drop(k);
	reign[k].gone = 1;
	reign[k].view.state = 0;
	reign[k].view.content = 0;
	reign[k].view.settled = 0;
	reign[k].view.part = 0;
	do
	:: reign[k].facts > 0 -> reign[k].facts--; reign[k].fact[reign[k].facts] = 0
	:: else -> break
	od;
	reign[k].chosen = 0;
	forgetClosing(k)
}

/* Driver.closeID: a tombstone for an id that nobody knows, unless one is on its way. */
inline closeID(k)
{
	if
	:: !isClosing(k) -> propose(k, TOMBSTONE)
	:: else
	fi
}

/* Driver.Cancel. What is aborted or settled is told as it is, and what is aborting or resolving waits: submissions do that, too. */
inline cancel(k)
{
	printf("a client cancels the id at coordinator %d\n", k);
	if
	:: reign[k].phase == COMMITTED && !rule(CANCEL_SAYS_WHAT_HAPPENED) -> hearAborted(k, reign[k].content)
	:: reign[k].phase == VOTING && !rule(TOMBSTONE_YIELDS)             -> closeID(k); reign[k].cancelled = 1
	:: reign[k].phase == VOTING && rule(TOMBSTONE_YIELDS)              ->
		giveUp(k, !rule(CANCEL_ASKS_THE_BANKS));
		if
		:: reign[k].phase == ABORTING && !rule(CANCEL_WAITS_FOR_ITS_ENTRY) -> hearAborted(k, reign[k].content)
		:: else
		fi
	:: reign[k].phase == NONE                                          ->
		closeID(k);
		reign[k].cancelled = 1;
		if
		:: !rule(CANCEL_CLOSES_THE_ID) -> hearCancelled(k)
		:: else
		fi
	fi
}

/* Driver.closeOrphan */
inline closeOrphan(k, b)
{
	printf("bank %c inquires at coordinator %d\n", NAME(b), k);
	closeID(k);
	reign[k].inquired[b] = 1;
	if
	:: !rule(TOMBSTONE_BEFORE_ANSWER) -> bank[b].sent[toRollback] = 1
	:: else
	fi
}

/* Driver.tellBank: once; if it is lost, the bank asks again. */
#define hasLeg(k, b)           (touches(reign[k].view.content, b) || !rule(COMMIT_NEEDS_A_LEG))
#define isToldToCommit(k, b)   (reign[k].view.state == COMMITTED && hasLeg(k, b))
#define isToldToRollBack(k, b) (reign[k].view.state == ABORTED || (reign[k].view.state == COMMITTED && !hasLeg(k, b)))

inline tellBank(k, b)
{
	printf("bank %c inquires at coordinator %d\n", NAME(b), k);
	if
	:: isToldToCommit(k, b) && reign[k].view.part  -> bank[b].sent[toCommitPart] = 1
	:: isToldToCommit(k, b) && !reign[k].view.part -> bank[b].sent[toCommit] = 1
	:: isToldToRollBack(k, b) -> bank[b].sent[toRollback] = 1
	:: else
	fi
}

/* Driver.Inquired, where nothing is in flight */
inline onInquiry(k, b)
{
	if
	:: reign[k].view.state == UNKNOWN -> closeOrphan(k, b)
	:: else                           -> tellBank(k, b)
	fi
}

/* == Who acts ==============================================================================================
 *
 * Every process does one step after another, each whole. A request that is sent or arrives once more and changes nothing is left
 * out: so every step uses something up, every run ends, and it ends only where nobody can do anything.
 */

/* A coordinator, from Lead until Depose. */

#define asks(k, b, what) (reign[k].phase == (what) && !reign[k].answered[b])

#define HEAR(k, b) \
	:: d_step { asks(k, b, VOTING) && saysYes(b, reign[k].content) -> onYes(k, b) } \
	:: d_step { asks(k, b, VOTING) && saysNo(b, reign[k].content) -> onNo(k, b) } \
	:: d_step { asks(k, b, RESOLVING) && saysPrepared(b, reign[k].content) -> onYes(k, b) } \
	:: d_step { asks(k, b, RESOLVING) && saysRolledBack(b, reign[k].content) -> onNo(k, b) } \
	:: d_step { asks(k, b, COMMITTED) && saysCommitted(b) -> onConfirmed(k, b) } \
	:: d_step { asks(k, b, ABORTED) && isRolledBack(b) -> onConfirmed(k, b) }

active [REIGNS] proctype Coordinator()
{
	byte k = _pid;
end:
	do
	/* Driver.Answers */
	HEAR(k, 0)
	HEAR(k, 1)
	/* Driver.Tick. The clock may be right or wrong: the deadline passes whenever it likes. */
	:: d_step { reign[k].phase == VOTING -> onDeadline(k) }
	:: d_step { reign[k].phase == ONHOLD -> void_(k) }
	/* raft */
	:: d_step { k == current && reign[k].chosen < reign[k].facts -> choose(k) }
	/* coordinatorHost.Apply, Driver.Applied */
	:: d_step { reign[k].chosen > 0 -> apply(k) }
	od
}

/* A bank: what the leader goes on asking (pipeline.repeatUnanswered) is answered at last, and an old hold is inquired about until
 * somebody answers (Ledger.OldHolds, Lane.inquire, Driver.Inquired). */

#define inquires(b) (rule(BANKS_INQUIRE) && bank[b].state == HELD && reign[current].phase == NONE)

active [2] proctype Participant()
{
	byte b = _pid - REIGNS;
end:
	do
	:: d_step { asks(current, b, VOTING) && canHold(b) -> hold(b, reign[current].content) }
	:: d_step { asks(current, b, VOTING) && canRefuse(b) -> refuse(b) }
	:: d_step { asks(current, b, RESOLVING) && canClose(b) -> rollback(b) }
	:: d_step { asks(current, b, COMMITTED) && !saysCommitted(b) -> commit(b, reign[current].part) }
	:: d_step { asks(current, b, ABORTED) && !isRolledBack(b) -> rollback(b) }
	:: d_step { inquires(b) && reign[current].view.state == UNKNOWN && !reign[current].inquired[b] -> closeOrphan(current, b) }
	:: d_step { inquires(b) && isToldToCommit(current, b) -> tellBank(current, b); commit(b, reign[current].view.part) }
	:: d_step { inquires(b) && isToldToRollBack(current, b) -> tellBank(current, b); rollback(b) }
	od
}

/* Whatever may happen and needn't: clients, elections, crashes, and requests that come late, twice or out of turn. */

#define isIdle(k) (k <= current && !reign[k].gone && reign[k].phase == NONE)
#define maySubmit(k, c) \
	(c <= CONTENTS && isIdle(k) && \
	 (reign[k].view.state == UNKNOWN || (isDecidedFor(k, c) && !heardCommitted[c] && !heardAborted[c])))
#define mayInquire(k, b) \
	(isIdle(k) && bank[b].about != 0 && \
	 ((reign[k].view.state == UNKNOWN && !reign[k].inquired[b] && (k == current || !rule(TOMBSTONE_BEFORE_ANSWER))) || \
	  (isToldToCommit(k, b) && !bank[b].sent[toCommit] && !bank[b].sent[toCommitPart]) || (isToldToRollBack(k, b) && !bank[b].sent[toRollback])))
#define mayCancel(k) \
	(k <= current && !reign[k].gone && \
	 (reign[k].phase == VOTING || (k == current && reign[k].phase == NONE && reign[k].view.state == UNKNOWN && !reign[k].cancelled) || \
	  (reign[k].phase == COMMITTED && !rule(CANCEL_SAYS_WHAT_HAPPENED))))
#define mayLearn(k) \
	(!rule(DEPOSE_BEFORE_LATER_STAGES) && k < current && reign[k].phase == VOTING && reign[k].chosen == 0 && reign[k].view.state == UNKNOWN && \
	 agreed.state == PENDING && agreed.content == reign[k].content)

/* A client submits, for the first time or again, wherever somebody believes to lead. An inquiry comes late, or to who leads no more. */
#define AT_COORDINATOR(k) \
	:: d_step { maySubmit(k, 1) -> submit(k, 1) } \
	:: d_step { maySubmit(k, 2) -> submit(k, 2) } \
	:: d_step { maySubmit(k, 3) -> submit(k, 3) } \
	:: d_step { mayCancel(k) -> cancel(k) } \
	:: d_step { reign[k].phase == ONHOLD -> capture(k, 0) } \
	:: d_step { reign[k].phase == ONHOLD -> capture(k, 1) } \
	:: d_step { reign[k].phase == CAPTURING && !rule(HOLD_ENDS_ONCE) -> reign[k].phase = ABORTING; propose(k, ABORT) } \
	:: d_step { mayInquire(k, 0) -> onInquiry(k, 0) } \
	:: d_step { mayInquire(k, 1) -> onInquiry(k, 1) } \
	:: d_step { k < current && !reign[k].gone -> depose(k) } \
	:: d_step { mayLearn(k) -> reign[k].view.state = PENDING; reign[k].view.content = agreed.content; onStaged(k) }

#define AT_BANK(b) \
	PREPARE_AT(b, 1) \
	PREPARE_AT(b, 2) \
	PREPARE_AT(b, 3) \
	:: d_step { bank[b].sent[toCommit] && !saysCommitted(b) -> commit(b, 0) } \
	:: d_step { bank[b].sent[toCommitPart] && !saysCommitted(b) -> commit(b, 1) } \
	:: d_step { bank[b].sent[toRollback] && !isRolledBack(b) -> rollback(b) } \
	:: d_step { bank[b].state == HELD && !rule(YES_IS_FINAL) -> bank[b].state = ROLLEDBACK } \
	:: d_step { bank[b].state == HELD && !rule(ANSWERS_ARE_DURABLE) -> bank[b].state = FREE; bank[b].about = 0 }

#define PREPARE_AT(b, c) \
	:: d_step { bank[b].sent[toPrepare(c)] && canHold(b) -> hold(b, c) } \
	:: d_step { bank[b].sent[toPrepare(c)] && canRefuse(b) -> refuse(b) } \
	:: d_step { bank[b].sent[toResolve(c)] && canClose(b) -> rollback(b) }

active proctype World()
{
end:
	do
	AT_COORDINATOR(0)
	AT_COORDINATOR(1)
#if REIGNS > 2
	AT_COORDINATOR(2)
#endif
#if REIGNS > 3
	AT_COORDINATOR(3)
#endif
	AT_BANK(0)
	AT_BANK(1)
	/* Another coordinator leads. The one before may not know it yet. */
	:: d_step { current + 1 < REIGNS -> lead(false) }
	:: d_step { current + 1 < REIGNS && agreed.state == PENDING -> lead(true) }
	/* From here on nothing unexpected happens. What is on its way and isn't asked for again is lost. */
	:: break
	od
}

#ifdef EVENTUALLY

/* Under weak fairness everything ends and stays so. */
ltl ends { <> [] everythingEnded }

#else

/* Looks at every state. The bits are only there to say which promise it was. */
active proctype Judge()
{
	bit atomicityIsBroken, committedWasUndone, abortedWasDone, clientsHeardBoth, notAsCaptured, somethingNeverEnds, reached;
end:
	do
	:: d_step { !atomicity -> atomicityIsBroken = 1; assert(!atomicityIsBroken) }
	:: d_step { !committedStays -> committedWasUndone = 1; assert(!committedWasUndone) }
	:: d_step { !abortedStays -> abortedWasDone = 1; assert(!abortedWasDone) }
	:: d_step { !asCaptured -> notAsCaptured = 1; assert(!notAsCaptured) }
	:: d_step { heardBoth -> clientsHeardBoth = 1; assert(!clientsHeardBoth) }
	:: atomic { timeout && !everythingEnded -> somethingNeverEnds = 1; assert(!somethingNeverEnds) }
#ifdef WITNESS
	:: d_step { WITNESS -> reached = 1; assert(!reached) }
#endif
	od
}

#endif
