package node_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/node"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// someMessages are one of every kind.
func someMessages() []lane.Message {
	id := transfer.ID{1, 2, 3}
	t := transfer.Transfer{ID: id, Reference: "rent", Deadline: time.Unix(9, 0).UTC(), Legs: []transfer.Leg{
		{Bank: "north", Account: "alice", Direction: transfer.Debit, AmountMinor: 5, Currency: "EUR"},
		{Bank: "south", Account: "bob", Direction: transfer.Credit, AmountMinor: 5, Currency: "EUR"},
	}}
	print := t.Fingerprint()
	reason := transfer.Reason{Code: "insufficient_funds", Bank: "north", Detail: "no", Shortfall: &transfer.Shortfall{Account: "alice", Currency: "EUR", AvailableMinor: -1, NeededMinor: 5}}
	terms := bank.Terms{ID: "alice", Currency: "EUR", OverdraftMinor: 7}
	at := time.Unix(7, 0).UTC()
	record := transfer.Record{Transfer: t, State: transfer.Aborted, Reason: reason, CreatedAt: at, DecidedAt: at}
	messages := []lane.Message{
		lane.RaftMessage{Group: "cluster", Message: raft.Message{Kind: raft.Append, From: 2, To: 1, Term: 3, Entries: []raft.Entry{{Index: 1, Term: 3, Data: []byte("x")}}}},
		lane.RaftMessage{Group: "bank/north", Message: raft.Message{Kind: raft.Vote, From: 2, To: 1, Term: 9, LogTerm: 1, Index: 9}},
		lane.RaftMessage{Group: "coordinator/0", Message: raft.Message{Kind: raft.Snapshot, From: 2, To: 1, Term: 3, Snapshot: &raft.SnapshotChunk{Last: raft.EntryID{Index: 9, Term: 2}, Done: true}}},
		lane.BankRequests{Bank: "north", Coordinator: "coordinator/0", Requests: []bank.Request{
			{Op: bank.Prepare, ID: id, Fingerprint: print, Legs: t.Legs, Reference: "rent"}, {Op: bank.Commit, ID: id, CapturedMinor: []int64{1, 0}}, {Op: bank.Resolve, ID: id, Fingerprint: print},
		}},
		lane.BankAnswers{Bank: "north", Coordinator: "coordinator/0", LeaderHint: 2, Answers: []bank.Answer{{Op: bank.Prepare, ID: id, Result: bank.No, Fingerprint: print, Reason: reason}}},
		lane.Inquiry{Coordinator: "coordinator/0", Bank: "north", IDs: []transfer.ID{id}},
		lane.Pulse{Quiesced: []lane.Quiesced{{Group: "bank/north", Term: 3, Last: 4}}},
		lane.Register{Disk: directory.Disk{7}, Addresses: directory.Addresses{Peer: "h:1", GRPC: "h:2", HTTP: "h:3"}},
		lane.GroupReport{Group: "bank/north", Behind: []lane.Behind{{Node: 2, Entries: 5}}, Absent: []raft.NodeID{3}},
		lane.GroupReport{Group: "cluster", Level: 2}, lane.GroupReport{Group: "cluster", Level: 2, LowSpace: true},
		lane.WhoIsThere{Applied: 7},
		lane.Introduction{Applied: 9, Nodes: []directory.Node{{ID: 4, Role: directory.Member, Coordinator: true, Disk: directory.Disk{4}, Addresses: directory.Addresses{Peer: "127.0.0.1:7104"}}}},
		lane.ForwardReply{Request: 1, NotLeader: true, LeaderHint: 3},
		lane.ForwardReply{Request: 2, Answer: lane.Answer{Transfer: record}},
		lane.ForwardReply{Request: 3, Answer: lane.Answer{
			Accounts: []bank.Account{{Terms: terms, PostedMinor: -3, Status: bank.Open}}, Entries: []bank.Entry{{Seq: 1, Transfer: id, Account: "alice", AmountMinor: -5, At: at}},
			Members: []lane.MemberStatus{{Node: directory.Node{ID: 2, Role: directory.Member}, Alive: true, Groups: []lane.GroupID{"cluster"}}}, LastSeq: 9, More: true,
		}},
		lane.ForwardReply{Request: 4, Answer: lane.Answer{Audit: bank.Audit{Totals: []bank.Total{{Currency: "EUR", PostedMinor: -3}}, OpenHolds: 1, LastEntry: 4}}},
		lane.ForwardReply{Request: 5, Answer: lane.Answer{Tokens: []directory.Token{{Name: "a", Roles: []string{"read"}, Created: 7, Expires: 9}}}},
		lane.ForwardReply{Request: 6, Answer: lane.Answer{Listing: &lane.Listing{Page: coordinator.Page{Listed: []coordinator.Listed{{Record: record, Number: 8, ReachedAt: at}}, Last: 6, ReachedAt: at, More: true}}}},
		lane.ForwardReply{Request: 7, Answer: lane.Answer{Listing: &lane.Listing{Decisions: coordinator.Decisions{Decided: []coordinator.Numbered{{Record: record, Number: 8}}, Last: 9}}}},
		lane.ForwardReply{Request: 8, Answer: lane.Answer{Listing: &lane.Listing{Doubts: []driver.Doubt{{Record: record, Waiting: []transfer.BankID{"south"}}}}}},
	}
	for _, ask := range []lane.Ask{
		lane.Submit{Transfer: &t}, lane.CancelTransfer{ID: id}, lane.GetTransfer{ID: id}, lane.CaptureTransfer{ID: id, AmountsMinor: []int64{1, 1}}, lane.VoidTransfer{ID: id},
		lane.OpenAccount{Bank: "north", Terms: terms}, lane.ChangeAccount{Bank: "north", Change: bank.Change{Account: "alice", Kind: bank.Freeze}},
		lane.GetAccount{Bank: "north", ID: "alice"}, lane.ListAccounts{Bank: "north", After: "a", Limit: 5}, lane.ListEntries{Bank: "north", AfterSeq: 4, Limit: 5},
		lane.GetStatement{Bank: "north", Account: "alice", AfterSeq: 1, Limit: 2, Since: at}, lane.AuditBank{Bank: "north"}, lane.ListMembers{},
		lane.AddMember{Node: 4, Addresses: directory.Addresses{Peer: "h:1"}}, lane.PromoteMember{Node: 4}, lane.RemoveMember{Node: 2}, lane.PlaceGroup{Group: "bank/north", Members: []raft.NodeID{1, 2}},
		lane.TransferLeader{Group: "coordinator/0", To: 1}, lane.ListTokens{}, lane.AddToken{Token: directory.Token{Name: "a", Roles: []string{"read"}}}, lane.RevokeToken{Name: "a"},
		lane.ListTransfers{Group: "coordinator/0", Below: 9, Limit: 7, Filter: coordinator.Filter{State: transfer.Committed, Bank: "north", Account: "alice", Reference: "rent", Since: at, Until: at.Add(1)}},
		lane.ListInDoubt{Group: "coordinator/0", Limit: 5}, lane.ReadDecisions{Group: "coordinator/0", After: 9, Limit: 7, Filter: coordinator.Filter{State: transfer.Aborted}},
	} {
		group := lane.GroupID("bank/north")
		switch ask.(type) {
		case lane.Submit, lane.CancelTransfer, lane.GetTransfer, lane.CaptureTransfer, lane.VoidTransfer, lane.TransferLeader, lane.ListTransfers, lane.ListInDoubt, lane.ReadDecisions:
			group = "coordinator/0"
		case lane.ListMembers, lane.AddMember, lane.PromoteMember, lane.RemoveMember, lane.PlaceGroup, lane.ListTokens, lane.AddToken, lane.RevokeToken:
			group = "cluster"
		}
		messages = append(messages, lane.Forward{Request: 7, Group: group, Ask: ask})
	}
	return messages
}

// FuzzEnvelopes: whatever a peer sends, it is refused as malformed or it is messages that read the same again, and a lane takes all of them: a
// peer's input gets errors, never a panic further in.
func FuzzEnvelopes(f *testing.F) {
	for _, leads := range []bool{false, true} {
		for _, m := range someMessages() {
			wire, err := proto.Marshal(&peerv1.ExchangeRequest{Envelopes: []*peerv1.Envelope{node.MessageToProto(m)}})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wire, leads)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, leads bool) {
		var r peerv1.ExchangeRequest
		if proto.Unmarshal(wire, &r) != nil {
			return
		}
		var events []lane.Event
		for _, e := range r.GetEnvelopes() {
			m, err := node.MessageFromProto(e)
			if err != nil {
				continue
			}
			wantSame(t, m)
			if said, ok := m.(lane.RaftMessage); ok && (said.Message.From != 2 || said.Message.To != 1) {
				continue // transport lets none through
			}
			events = append(events, lane.Received{From: 2, Message: m})
		}
		w := newTargeted(t, leads)
		lives := w.step(events...)
		for i := 0; lives && i < 40; i++ { // what was proposed, asked or forwarded has its time
			w.now = w.now.Add(lane.DefaultLimits().TickInterval)
			lives = w.step()
		}
	})
}

func wantSame(t *testing.T, m lane.Message) {
	t.Helper()
	wire, err := proto.Marshal(node.MessageToProto(m))
	if err != nil {
		t.Fatal(err)
	}
	var e peerv1.Envelope
	if err := proto.Unmarshal(wire, &e); err != nil {
		t.Fatal(err)
	}
	again, err := node.MessageFromProto(&e)
	sameError := cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })
	if err != nil || !cmp.Equal(again, m, sameError, cmpopts.EquateEmpty()) {
		t.Fatalf("%+v came back as %+v, %v", m, again, err)
	}
}
