// Package etcdraft runs one member of a group on the core that etcd runs on, go.etcd.io/raft/v3, behind the methods of
// raft.Raft: same Config in, same Ready out, same messages, same durable State. A group may mix both engines, and a member
// may come back from its disk with the other one.
//
// It never does I/O, reads a clock or starts a goroutine, and etcd's core makes no decision by its own dice.
//
// # Translation
//
// All of it is in translate.go. Left is raft.Message, right is etcd's.
//
//	PreVote, Vote           MsgPreVote, MsgVote         Transfer is the context "CampaignTransfer"
//	PreVoteReply, VoteReply MsgPreVoteResp, MsgVoteResp a granted pre-vote's term is the one asked for
//	Append                  MsgApp                      Compact is ours alone
//	AppendReply             MsgAppResp                  Hint, HintTerm are RejectHint, LogTerm
//	Heartbeat               MsgHeartbeat                Round and Commit: see below
//	HeartbeatReply          MsgHeartbeatResp            Round: see below
//	Snapshot                MsgHeartbeat                for term and leader; snapshot.go takes the chunk
//	SnapshotReply           MsgHeartbeatResp            for term and contact; snapshot.go sends the next
//	TimeoutNow              MsgTimeoutNow
//	—                       MsgSnap                     never on the wire: it makes an Offer
//	—                       MsgProp, MsgReadIndex       never on the wire: only leaders take them here
//
//	Normal                 EntryNormal with data, be it of length zero
//	Noop                   EntryNormal without data
//	Membership             EntryConfChangeV2 whose context holds our bytes; without data for the end of a joint phase
//
// # Where the protocols differ
//
//   - Read rounds. Our leader numbers its rounds, and 0 wants no answer. etcd's sends the position of the newest read that
//     waits, as eight bytes of context, or no context; it wants every heartbeat answered. A follower on etcd's core gets our
//     round as its context and echoes it; its answer to round 0 is dropped. A leader on etcd's core sends position+1.
//   - The commit in a heartbeat. etcd's follower believes it, and panics if its log is shorter. We pass on only what is known to
//     be that leader's log here: HardState.Accepted, as raft.Raft does it (raft-scenarios 54).
//   - Durability. etcd's core, with asynchronous writes, sends a request for votes before its own term, its vote and the end of its log are
//     durable: after a crash it could campaign again in that term with a shorter log, late votes for the first campaign would count, and
//     a term could have entries of two leaders. Here everything of a term that isn't durable waits for the disk, as in raft.Raft.
//     Its pre-vote answers always wait; ours don't.
//   - Refused votes. Ours name what is committed, so that a candidate learns that it asks the members of yesterday. etcd's core takes
//     such news from a leader only: the adapter builds a new one that knows it, as soon as all of the log is durable.
//   - Older terms. etcd's core answers a leader of an older term with an acknowledgement of nothing. The adapter answers
//     such messages itself, the way raft.Raft does.
//   - Snapshots. etcd's core refuses one that doesn't name the receiver, which is what a newcomer gets that was added after
//     the snapshot was taken. The adapter builds a new core on top of every snapshot instead.
//   - Reads before the first commit of a term. etcd's core answers at once if it decides alone, though its commit may
//     be older than what it acknowledged before a restart. The adapter holds such reads back.
//   - Reads under way when a leader becomes the only voter. etcd's core waits for the others' word for ever; the adapter asks it
//     again, and then it answers at once.
//   - Membership. The adapter applies ours, checks that etcd's core came to the same, and never shows it a change that ours
//     turns into nothing, for that would make it panic.
//   - Time. The core is ticked only while it leads. Followers count here and campaign by RawNode.Campaign after a timeout
//     drawn from Config.Seed; a leader that is silent for ElectionTicks is forgotten (RawNode.ForgetLeader), which ends stickiness.
//     PreVote and CheckQuorum are on. CheckQuorum looks once per election timeout, so it may take two to step down.
//   - Leases. ReadIndex always takes a round, whatever LeaseTicks says; but a node that comes back keeps quiet for
//     ElectionTicks if there are leases, since other leaders count on that.
//
// Invariants (status.go: check after every call, Verify in tests):
//   - the log here is etcd's log, entry by entry: all that its core says is taken over before a call returns
//   - applied ≤ delivered ≤ commit, delivered ≤ durable
//   - the membership here is etcd's
//
// A message of a peer gets an error (raft.ErrBadMessage, raft.ErrUnsafe) wherever etcd's core would panic on it or quietly
// take it for something else, see guard.go.
package etcdraft
