package node

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	peerv1 "github.com/quorate/quorate/proto/quorate/peer/v1"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// The generated code's forms of the messages that are written by hand.

func generatedRequests(m *lane.BankRequests) *peerv1.BankRequests {
	p := &peerv1.BankRequests{Bank: string(m.Bank), Coordinator: string(m.Coordinator)}
	for i := range m.Requests {
		r := &m.Requests[i]
		q := &peerv1.BankRequest{Op: uint32(r.Op), Id: r.ID[:], Legs: legsToProto(r.Legs), Reference: r.Reference, HoldUntilUnixNano: unixNano(r.HoldUntil), CapturedMinor: r.CapturedMinor}
		if namesContent(r.Op) {
			q.Fingerprint = r.Fingerprint[:]
		}
		p.Requests = append(p.Requests, q)
	}
	return p
}

func generatedAnswers(m *lane.BankAnswers) *peerv1.BankAnswers {
	p := &peerv1.BankAnswers{Bank: string(m.Bank), Coordinator: string(m.Coordinator), LeaderHint: uint64(m.LeaderHint)}
	for i := range m.Answers {
		a := &m.Answers[i]
		q := &peerv1.BankAnswer{Op: uint32(a.Op), Id: a.ID[:], Result: uint32(a.Result), Reason: reasonToProto(a.Reason)}
		if namesContent(a.Op) {
			q.Fingerprint = a.Fingerprint[:]
		}
		p.Answers = append(p.Answers, q)
	}
	return p
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	words = rapid.StringN(0, 12, 40)
	ids   = rapid.Custom(func(t *rapid.T) transfer.ID {
		id := transfer.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		id[0] |= 1 // zero is no id
		return id
	})
	amounts = rapid.Int64Range(0, 1<<62)
)

func drawRequest(t *rapid.T) bank.Request {
	r := bank.Request{Op: bank.Op(rapid.IntRange(int(bank.Prepare), int(bank.Resolve)).Draw(t, "op")), ID: ids.Draw(t, "id"), Reference: words.Draw(t, "reference")}
	if namesContent(r.Op) {
		r.Fingerprint = transfer.Fingerprint(ids.Draw(t, "fingerprint"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "legs") {
		r.Legs = append(r.Legs, transfer.Leg{
			Bank: transfer.BankID(words.Draw(t, "bank")), Account: transfer.AccountID(words.Draw(t, "account")), Direction: transfer.Direction(rapid.IntRange(0, 2).Draw(t, "direction")),
			AmountMinor: amounts.Draw(t, "amount"), Currency: transfer.Currency(words.Draw(t, "currency")),
		})
	}
	if rapid.Bool().Draw(t, "hold") {
		r.HoldUntil = time.Unix(0, rapid.Int64().Draw(t, "until")|1).UTC()
	}
	if n := rapid.IntRange(0, 20).Draw(t, "captured"); n > 0 {
		r.CapturedMinor = rapid.SliceOfN(amounts, n, n).Draw(t, "amounts")
	}
	return r
}

func drawAnswer(t *rapid.T) bank.Answer {
	a := bank.Answer{Op: bank.Op(rapid.IntRange(0, int(bank.Resolve)).Draw(t, "op")), ID: ids.Draw(t, "id"), Result: bank.Result(rapid.IntRange(0, int(bank.Violation)).Draw(t, "result"))}
	if namesContent(a.Op) {
		a.Fingerprint = transfer.Fingerprint(ids.Draw(t, "fingerprint"))
	}
	if rapid.Bool().Draw(t, "reason") {
		a.Reason = transfer.Reason{Code: transfer.Code(words.Draw(t, "code")), Bank: transfer.BankID(words.Draw(t, "bank")), Detail: rapid.StringN(0, 200, 400).Draw(t, "detail")}
		if rapid.Bool().Draw(t, "shortfall") {
			a.Reason.Shortfall = &transfer.Shortfall{
				Account: transfer.AccountID(words.Draw(t, "account")), Currency: transfer.Currency(words.Draw(t, "currency")),
				AvailableMinor: rapid.Int64().Draw(t, "available"), NeededMinor: amounts.Draw(t, "needed"),
			}
		}
	}
	return a
}

func TestBankRequestsAreTheBytesOfTheGeneratedCode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := lane.BankRequests{Bank: transfer.BankID(words.Draw(rt, "bank")), Coordinator: lane.GroupID(words.Draw(rt, "coordinator")), Requests: []bank.Request{}}
		for range rapid.IntRange(0, 4).Draw(rt, "requests") {
			m.Requests = append(m.Requests, drawRequest(rt))
		}
		got := encodeBankRequests(&m)
		if want := marshal(t, generatedRequests(&m)); !bytes.Equal(got, want) {
			rt.Fatalf("%+v:\ngot  %x\nwant %x", m, got, want)
		}
		back, err := decodeBankRequests(got)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(lane.Message(m), back, sameWhenEmpty); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestBankAnswersAreTheBytesOfTheGeneratedCode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := lane.BankAnswers{Bank: transfer.BankID(words.Draw(rt, "bank")), Coordinator: lane.GroupID(words.Draw(rt, "coordinator")), Answers: []bank.Answer{}, LeaderHint: raft.NodeID(rapid.Uint64().Draw(rt, "hint"))}
		for range rapid.IntRange(0, 4).Draw(rt, "answers") {
			m.Answers = append(m.Answers, drawAnswer(rt))
		}
		got := encodeBankAnswers(&m)
		if want := marshal(t, generatedAnswers(&m)); !bytes.Equal(got, want) {
			rt.Fatalf("%+v:\ngot  %x\nwant %x", m, got, want)
		}
		back, err := decodeBankAnswers(got)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(lane.Message(m), back, sameWhenEmpty); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// sameWhenEmpty: a request without legs has none, be they nil or not.
var sameWhenEmpty = cmp.Transformer("legs", func(legs []transfer.Leg) []transfer.Leg {
	if len(legs) == 0 {
		return nil
	}
	return legs
})

func TestWhatAPeerMayNotSayOfBanks(t *testing.T) {
	id, fingerprint := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	legs := make([]*peerv1.Leg, transfer.LegsMax+1)
	for i := range legs {
		legs[i] = &peerv1.Leg{Bank: "A"}
	}
	prepare := func(change func(*peerv1.BankRequest)) *peerv1.BankRequests {
		q := &peerv1.BankRequest{Op: uint32(bank.Prepare), Id: id, Fingerprint: fingerprint}
		change(q)
		return &peerv1.BankRequests{Bank: "A", Coordinator: "coordinator/0", Requests: []*peerv1.BankRequest{q}}
	}
	vote := func(change func(*peerv1.BankAnswer)) *peerv1.BankAnswers {
		a := &peerv1.BankAnswer{Op: uint32(bank.Prepare), Id: id, Result: uint32(bank.Yes), Fingerprint: fingerprint}
		change(a)
		return &peerv1.BankAnswers{Bank: "A", Coordinator: "coordinator/0", Answers: []*peerv1.BankAnswer{a}}
	}
	for name, m := range map[string]proto.Message{
		"a request without an id":                    prepare(func(q *peerv1.BankRequest) { q.Id = nil }),
		"a request with an id of zeros":              prepare(func(q *peerv1.BankRequest) { q.Id = make([]byte, 16) }),
		"a request with half an id":                  prepare(func(q *peerv1.BankRequest) { q.Id = id[:8] }),
		"a request for nothing":                      prepare(func(q *peerv1.BankRequest) { q.Op = 0 }),
		"a request for more than there is":           prepare(func(q *peerv1.BankRequest) { q.Op = uint32(bank.Resolve) + 1 }),
		"a prepare without a fingerprint":            prepare(func(q *peerv1.BankRequest) { q.Fingerprint = nil }),
		"a prepare of too many legs":                 prepare(func(q *peerv1.BankRequest) { q.Legs = legs }),
		"a leg in no direction":                      prepare(func(q *peerv1.BankRequest) { q.Legs = []*peerv1.Leg{{Direction: 3}} }),
		"a capture of less than nothing":             prepare(func(q *peerv1.BankRequest) { q.CapturedMinor = []int64{-1} }),
		"a capture of too many amounts":              prepare(func(q *peerv1.BankRequest) { q.CapturedMinor = make([]int64, transfer.LegsMax+1) }),
		"an answer without an id":                    vote(func(a *peerv1.BankAnswer) { a.Id = nil }),
		"an answer to what can't be asked":           vote(func(a *peerv1.BankAnswer) { a.Op = uint32(bank.Resolve) + 1 }),
		"an answer that isn't one":                   vote(func(a *peerv1.BankAnswer) { a.Result = uint32(bank.Violation) + 1 }),
		"a vote without a fingerprint":               vote(func(a *peerv1.BankAnswer) { a.Fingerprint = nil }),
		"a vote with a fingerprint that is too long": vote(func(a *peerv1.BankAnswer) { a.Fingerprint = append(fingerprint, 1) }),
	} {
		e := &peerv1.Envelope{}
		if requests, ok := m.(*peerv1.BankRequests); ok {
			e.Message = &peerv1.Envelope_BankRequests{BankRequests: marshal(t, requests)}
		} else {
			e.Message = &peerv1.Envelope_BankAnswers{BankAnswers: marshal(t, m)}
		}
		if got, err := messageFromProto(e); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzBankMessages: what is taken from a peer, the generated code takes too, and reads the same in it.
func FuzzBankMessages(f *testing.F) {
	hold := lane.BankRequests{Bank: "A", Coordinator: "coordinator/0", Requests: []bank.Request{
		{Op: bank.Prepare, ID: transfer.ID{1}, Legs: []transfer.Leg{{Bank: "A", Account: "alice", Direction: transfer.Debit, AmountMinor: 300, Currency: "CZK"}}, Reference: "rent", HoldUntil: time.Unix(1, 0)},
		{Op: bank.Commit, ID: transfer.ID{1}, CapturedMinor: []int64{0, 300}},
	}}
	no := lane.BankAnswers{Bank: "A", Coordinator: "coordinator/0", LeaderHint: 2, Answers: []bank.Answer{
		{Op: bank.Prepare, ID: transfer.ID{1}, Result: bank.No, Reason: transfer.Reason{Code: "insufficient_funds", Shortfall: &transfer.Shortfall{Account: "alice", Currency: "CZK", AvailableMinor: -1, NeededMinor: 2}}},
	}}
	f.Add(encodeBankRequests(&hold), true)
	f.Add(encodeBankAnswers(&no), false)
	f.Fuzz(func(t *testing.T, data []byte, requests bool) {
		if requests {
			got, err := decodeBankRequests(data)
			if err != nil {
				return
			}
			var generated peerv1.BankRequests
			if err := proto.Unmarshal(data, &generated); err != nil {
				t.Fatalf("the generated code refuses %x: %v", data, err)
			}
			m := got.(lane.BankRequests)
			if want := generatedRequests(&m); !proto.Equal(known(want), known(&generated)) {
				t.Errorf("got  %v\nwant %v", want, &generated)
			}
			return
		}
		got, err := decodeBankAnswers(data)
		if err != nil {
			return
		}
		var generated peerv1.BankAnswers
		if err := proto.Unmarshal(data, &generated); err != nil {
			t.Fatalf("the generated code refuses %x: %v", data, err)
		}
		m := got.(lane.BankAnswers)
		if want := generatedAnswers(&m); !proto.Equal(known(want), known(&generated)) {
			t.Errorf("got  %v\nwant %v", want, &generated)
		}
	})
}

// known drops what both are free to keep: unknown fields, fingerprints that don't count, and reasons that say nothing.
func known(m proto.Message) proto.Message {
	switch m := m.(type) {
	case *peerv1.BankRequests:
		for _, q := range m.Requests {
			if !namesContent(bank.Op(q.Op)) {
				q.Fingerprint = nil
			}
		}
	case *peerv1.BankAnswers:
		for _, a := range m.Answers {
			if !namesContent(bank.Op(a.Op)) {
				a.Fingerprint = nil
			}
			if a.Reason = reasonToProto(reasonFromProto(a.Reason)); a.Reason.GetShortfall() != nil {
				a.Reason.Shortfall.ProtoReflect().SetUnknown(nil)
			}
		}
	}
	b, _ := proto.Marshal(m)
	clean := m.ProtoReflect().New().Interface()
	_ = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, clean)
	return clean
}
