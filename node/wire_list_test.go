package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/coordinator"
	"github.com/quorate/quorate/coordinator/driver"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/transfer"
)

func someRecord() transfer.Record {
	at := time.Unix(1_790_000_000, 5)
	return transfer.Record{
		Transfer: transfer.Transfer{ID: transfer.ID{15: 7}, Reference: "rent", Deadline: at.Add(time.Second), Legs: []transfer.Leg{
			{Bank: "HOME", Account: "alice", Direction: transfer.Debit, AmountMinor: 5, Currency: "CZK"},
			{Bank: "CITY", Account: "bob", Direction: transfer.Credit, AmountMinor: 5, Currency: "CZK"},
		}},
		State: transfer.Aborted, Settled: true, CreatedAt: at, DecidedAt: at.Add(1),
		Reason: transfer.Reason{Code: "insufficient_funds", Bank: "HOME", Detail: "too little"},
	}
}

func TestListsCrossTheWireAsTheyAre(t *testing.T) {
	at := time.Unix(1_790_000_000, 7)
	for _, ask := range []lane.Ask{
		lane.ListTransfers{Group: "coordinator/1", Below: 9, Limit: 7, Filter: coordinator.Filter{
			State: transfer.Committed, Bank: "HOME", Account: "alice", Reference: "rent", Since: at, Until: at.Add(1),
		}},
		lane.ListTransfers{Group: "coordinator/0", Limit: 1},
		lane.ListInDoubt{Group: "coordinator/0", Limit: 5},
		lane.ReadDecisions{Group: "coordinator/1", After: 9, Limit: 7, Filter: coordinator.Filter{State: transfer.Aborted, Bank: "HOME", Account: "alice", Reference: "rent"}},
		lane.ReadDecisions{Group: "coordinator/1", Newest: true},
	} {
		got, err := forwardFromProto(forwardToProto(&lane.Forward{Group: "coordinator/1", Request: 4, Ask: ask}))
		want := ask
		if list, is := want.(lane.ListTransfers); is {
			list.Group = "coordinator/1" // the envelope's
			want = list
		}
		if list, is := want.(lane.ListInDoubt); is {
			list.Group = "coordinator/1"
			want = list
		}
		if forward, is := got.(lane.Forward); err != nil || !is || cmp.Diff(want, forward.Ask) != "" {
			t.Errorf("%+v arrives as %+v, %v", want, got, err)
		}
	}
	for _, answer := range []lane.Answer{
		{Listing: &lane.Listing{Page: coordinator.Page{Listed: []coordinator.Listed{{Record: someRecord(), Number: 8, ReachedAt: at}}, Last: 6, ReachedAt: at.Add(-1), More: true}}},
		{Listing: &lane.Listing{Decisions: coordinator.Decisions{Decided: []coordinator.Numbered{{Record: someRecord(), Number: 8}}, Last: 9, More: true}}},
		{Listing: &lane.Listing{Doubts: []driver.Doubt{{Record: someRecord(), Waiting: []transfer.BankID{"CITY"}}, {Record: someRecord()}}}},
		{},
	} {
		got, err := forwardReplyFromProto(forwardReplyToProto(&lane.ForwardReply{Request: 4, Answer: answer}))
		reply, is := got.(lane.ForwardReply)
		want, back := answer.Listed(), reply.Answer.Listed()
		if err != nil || !is || (want.Page.Last != 0 && cmp.Diff(want.Page, back.Page) != "") || (answer.Listing == nil) != (reply.Answer.Listing == nil) ||
			(want.Decisions.Last != 0 && cmp.Diff(want.Decisions, back.Decisions) != "") || cmp.Diff(want.Doubts, back.Doubts) != "" {
			t.Errorf("%+v arrives as %+v, %v", answer, got, err)
		}
	}
}

func TestAListWithoutItsItemIsRefused(t *testing.T) {
	if m, err := forwardReplyFromProto(&peerv1.ForwardReply{Listed: []*peerv1.ListedTransfer{{Number: 3}}}); err == nil {
		t.Errorf("an item without a record is read as %+v", m)
	}
	if m, err := forwardReplyFromProto(&peerv1.ForwardReply{Decided: []*peerv1.ListedTransfer{{Number: 3}}}); err == nil {
		t.Errorf("a decision without a record is read as %+v", m)
	}
	if m, err := forwardFromProto(&peerv1.Forward{Group: "coordinator/0", Ask: &peerv1.Forward_ReadDecisions{ReadDecisions: &peerv1.DecisionPage{State: 9}}}); err == nil {
		t.Errorf("decisions of state 9 are read as %+v", m)
	}
	if m, err := forwardFromProto(&peerv1.Forward{Group: "coordinator/0", Ask: &peerv1.Forward_ListTransfers{ListTransfers: &peerv1.TransferPage{State: 9}}}); err == nil {
		t.Errorf("a list of state 9 is read as %+v", m)
	}
}
