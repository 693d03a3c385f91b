package lane_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate/quorate/directory"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/replica"
	"github.com/quorate/quorate/transfer"
)

// newLane makes a lane of node 9, which holds no replica: everything it is asked goes to node 1.
func newLane(t *testing.T) *lane.Lane {
	t.Helper()
	l, err := lane.New(lane.Config{
		Level:     directory.LevelFirst, // it has nothing to say of itself
		Node:      9,
		Directory: lane.Directory{Coordinators: [][]raft.NodeID{{1}}, Banks: []lane.BankPlace{{Bank: "A", Members: []raft.NodeID{1}}, {Bank: "B", Members: []raft.NodeID{1, 2}}}},
		Limits:    lane.DefaultLimits(),
		NewEngine: func(cfg raft.Config) (replica.Engine, error) { return raft.New(cfg) },
		Restore:   func(lane.GroupID) (raft.State, lane.Reader, error) { return raft.State{}, nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func transferOf(id byte) *transfer.Transfer {
	return &transfer.Transfer{ID: transfer.ID{id}, Deadline: start.Add(time.Second), Legs: []transfer.Leg{
		{Bank: "A", Account: "x", Direction: transfer.Debit, AmountMinor: 1, Currency: "EUR"},
		{Bank: "B", Account: "y", Direction: transfer.Credit, AmountMinor: 1, Currency: "EUR"},
	}}
}

func asked(request uint64, ask lane.Ask) lane.Event {
	return lane.Asked{Request: request, Until: start.Add(time.Second), Ask: ask}
}

func replied(request uint64, about byte) lane.Event {
	record := transfer.Record{Transfer: *transferOf(about), State: transfer.Committed}
	return lane.Received{From: 1, Message: lane.ForwardReply{Request: request, Answer: lane.Answer{Transfer: record}}}
}

// TestWhatWaitedForTooLongIsNotBegun: its client has gone, and has been told that it may have happened; that it hasn't is the better for everybody.
func TestWhatWaitedForTooLongIsNotBegun(t *testing.T) {
	l := newLane(t)
	effects := l.Step(start.Add(time.Second), []lane.Event{asked(5, lane.Submit{Transfer: transferOf(1)})})
	if len(effects.Send) != 0 || len(effects.Answers) != 1 || !errors.Is(effects.Answers[0].Answer.Err, transfer.ErrBusy) {
		t.Errorf("got %+v and %+v", effects.Send, effects.Answers)
	}
}

func TestGatewayForwardsAndAnswersOnce(t *testing.T) {
	l := newLane(t)
	effects := l.Step(start, []lane.Event{asked(5, lane.Submit{Transfer: transferOf(1)})})
	if len(effects.Send) != 1 || effects.Send[0].To != 1 {
		t.Fatalf("got %+v, want one message to node 1", effects.Send)
	}
	effects = l.Step(start, []lane.Event{replied(5, 1), replied(5, 1)})
	if len(effects.Answers) != 1 || effects.Answers[0].Request != 5 || effects.Answers[0].Answer.Err != nil {
		t.Fatalf("got %+v, want one answer to request 5", effects.Answers)
	}
}

func TestGatewayIgnoresTheAnswerToAnotherLifesQuestion(t *testing.T) {
	l := newLane(t)
	l.Step(start, []lane.Event{asked(5, lane.Submit{Transfer: transferOf(1)}), asked(6, lane.GetTransfer{ID: transfer.ID{1}}), asked(7, lane.CancelTransfer{ID: transfer.ID{1}})})
	if effects := l.Step(start, []lane.Event{replied(5, 2), replied(6, 2), replied(7, 2)}); len(effects.Answers) != 0 {
		t.Fatalf("got %+v, want no answer: it is about another transfer", effects.Answers)
	}
}

func TestGatewayGivesUpAtTheClientsTime(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  lane.Ask
		want *transfer.Error
	}{
		{"a submission may have happened", lane.Submit{Transfer: transferOf(1)}, transfer.ErrOutcomeUnknown},
		{"a cancel may have happened", lane.CancelTransfer{ID: transfer.ID{1}}, transfer.ErrOutcomeUnknown},
		{"an account may have been opened", lane.OpenAccount{Bank: "A"}, transfer.ErrOutcomeUnknown},
		{"a read changed nothing", lane.GetAccount{Bank: "A"}, transfer.ErrNoLeader},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLane(t)
			l.Step(start, []lane.Event{asked(1, test.ask)})
			if effects := l.Step(start.Add(900*time.Millisecond), nil); len(effects.Answers) != 0 {
				t.Fatalf("answered early: %+v", effects.Answers)
			}
			mustRefuse(t, l.Step(start.Add(1100*time.Millisecond), nil), test.want)
		})
	}
}

func TestGatewayAsksTheNextMemberWhenOneDoesNotLead(t *testing.T) {
	l := newLane(t)
	l.Step(start, []lane.Event{asked(1, lane.GetAccount{Bank: "B"})})
	l.Step(start, []lane.Event{lane.Received{From: 1, Message: lane.ForwardReply{Request: 1, NotLeader: true}}})
	effects := l.Step(start.Add(60*time.Millisecond), nil)
	if sent := forClients(effects); len(sent) != 1 || sent[0].To != 2 {
		t.Fatalf("got %+v, want the question to go to node 2", sent)
	}
}

// forClients leaves out what a node asks for itself.
func forClients(e lane.Effects) []lane.Send {
	return slices.DeleteFunc(slices.Clone(e.Send), func(s lane.Send) bool { return s.Message == lane.Message(lane.WhoIsThere{}) })
}

func TestGatewayRefusesAtTheDoor(t *testing.T) {
	l := newLane(t)
	mustRefuse(t, l.Step(start, []lane.Event{asked(1, lane.GetAccount{Bank: "NOBANK"})}), transfer.ErrUnknownBank)
}

func mustRefuse(t *testing.T, effects lane.Effects, want *transfer.Error) {
	t.Helper()
	if len(effects.Answers) != 1 {
		t.Fatalf("got %+v, want one answer", effects.Answers)
	}
	if got, ok := codeOf(effects.Answers[0].Answer.Err); !ok || got != want.Code {
		t.Fatalf("got %v, want %s", effects.Answers[0].Answer.Err, want.Code)
	}
}

func codeOf(err error) (transfer.Code, bool) {
	var coded *transfer.Error
	if !errors.As(err, &coded) {
		return "", false
	}
	return coded.Code, true
}

// TestNobodyLeadingMakesNoStorm: every member says that it doesn't lead, at once, for as long as the network carries it.
func TestNobodyLeadingMakesNoStorm(t *testing.T) {
	for _, test := range []struct {
		name string
		hint func(from raft.NodeID) raft.NodeID
	}{
		{"nobody knows a leader", func(raft.NodeID) raft.NodeID { return 0 }},
		{"each believes that the other leads", func(from raft.NodeID) raft.NodeID { return 3 - from }},
	} {
		t.Run(test.name, func(t *testing.T) {
			const questions = 10
			l := newLane(t)
			var events []lane.Event
			for i := range uint64(questions) {
				events = append(events, asked(i+1, lane.GetAccount{Bank: "B"}))
			}
			sent := 0
			for trips := 0; trips < 50 && sent <= 3*questions; trips++ { // within one tick
				effects := l.Step(start, events)
				events = nil
				for _, s := range effects.Send {
					sent++
					m := s.Message.(lane.Forward)
					events = append(events, lane.Received{From: s.To, Message: lane.ForwardReply{Request: m.Request, NotLeader: true, LeaderHint: test.hint(s.To)}})
				}
			}
			if sent > 3*questions {
				t.Errorf("%d questions made %d messages within a tick", questions, sent)
			}
		})
	}
}

// TestARefusalIsBelievedOnlyIfTheRequestWasSentOnce: of two copies one may be refused and the other carried out.
func TestARefusalIsBelievedOnlyIfTheRequestWasSentOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		said *transfer.Error
		want *transfer.Error
	}{
		{"sent once", 0, transfer.ErrBusy, transfer.ErrBusy},
		{"sent again after silence", 1100 * time.Millisecond, transfer.ErrBankUnavailable, transfer.ErrOutcomeUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLane(t)
			l.Step(start, []lane.Event{lane.Asked{Request: 1, Until: start.Add(time.Minute), Ask: lane.Submit{Transfer: transferOf(1)}}})
			l.Step(start.Add(test.wait), nil)
			refused := lane.ForwardReply{Request: 1, Answer: lane.Answer{Err: test.said}}
			mustRefuse(t, l.Step(start.Add(test.wait), []lane.Event{lane.Received{From: 1, Message: refused}}), test.want)
		})
	}
}

// TestWhoWasSentTwiceIsNotTurnedAway: the first copy may be carried out, so that "busy" would be wrong and "unknown" of no use. It is asked again until the answer is
// certain, or too late.
func TestWhoWasSentTwiceIsNotTurnedAway(t *testing.T) {
	l := newLane(t)
	until := start.Add(30 * time.Second)
	l.Step(start, []lane.Event{lane.Asked{Request: 1, Until: until, Ask: lane.Submit{Transfer: transferOf(1)}}})
	asked, busy := 0, lane.ForwardReply{Request: 1, Answer: lane.Answer{Err: transfer.ErrBusy}}
	for now := start.Add(50 * time.Millisecond); now.Before(until); now = now.Add(50 * time.Millisecond) {
		effects := l.Step(now, nil)
		for _, s := range effects.Send {
			if _, is := s.Message.(lane.Forward); !is {
				continue
			}
			asked++
			if e := l.Step(now, []lane.Event{lane.Received{From: s.To, Message: busy}}); len(e.Answers) > 0 {
				t.Fatalf("answered %+v", e.Answers)
			}
		}
		if len(effects.Answers) > 0 {
			t.Fatalf("answered %+v", effects.Answers)
		}
	}
	if asked < 7 || asked > 10 {
		t.Errorf("asked %d times in half a minute", asked)
	}
	mustRefuse(t, l.Step(until, nil), transfer.ErrOutcomeUnknown)
}

// unsafeEngine is an engine that has heard of a second leader in its term.
type unsafeEngine struct{ replica.Engine }

func (unsafeEngine) Step(raft.Message) error { return fmt.Errorf("%w: two leaders", raft.ErrUnsafe) }

func TestASecondLeaderInATermStopsTheNode(t *testing.T) {
	l, err := lane.New(lane.Config{
		Level:     directory.LevelFirst, // it has nothing to say of itself
		Node:      1,
		Directory: lane.Directory{Coordinators: [][]raft.NodeID{{1, 2, 3}}},
		Limits:    lane.DefaultLimits(),
		NewEngine: func(cfg raft.Config) (replica.Engine, error) {
			engine, err := raft.New(cfg)
			return unsafeEngine{engine}, err
		},
		Restore: func(lane.GroupID) (raft.State, lane.Reader, error) { return raft.State{}, nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	message := lane.RaftMessage{Group: lane.CoordinatorGroup(0), Message: raft.Message{Kind: raft.Heartbeat, From: 2, To: 1, Term: 1}}
	if effects := l.Step(start, []lane.Event{lane.Received{From: 2, Message: message}}); !errors.Is(effects.Fatal, raft.ErrUnsafe) {
		t.Errorf("got %v, want the node to stop", effects.Fatal)
	}
}

func TestGatewayGivesUpALeaderThatSaysNothing(t *testing.T) {
	l := newLane(t)
	until := start.Add(time.Minute)
	l.Step(start, []lane.Event{lane.Asked{Request: 1, Until: until, Ask: lane.GetAccount{Bank: "B"}}})
	asked := map[raft.NodeID]int{}
	for now := start; now.Before(start.Add(5 * time.Second)); now = now.Add(50 * time.Millisecond) {
		for _, s := range l.Step(now, nil).Send {
			if _, is := s.Message.(lane.Forward); is {
				asked[s.To]++
			}
		}
	}
	if asked[2] == 0 || asked[1]+asked[2] > 10 {
		t.Errorf("asked %v in 5 seconds of silence, want both members now and then", asked)
	}
}

func TestARequestIsAskedAgainEverMoreSlowly(t *testing.T) {
	l := newLane(t)
	l.Step(start, []lane.Event{lane.Asked{Request: 1, Until: start.Add(time.Minute), Ask: lane.GetAccount{Bank: "A"}}})
	var at []time.Duration
	for past := 50 * time.Millisecond; past < 16*time.Second; past += 50 * time.Millisecond {
		for _, s := range l.Step(start.Add(past), nil).Send {
			if _, is := s.Message.(lane.Forward); is {
				at = append(at, past)
			}
		}
	}
	if want := []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second, 15 * time.Second}; !slices.Equal(at, want) {
		t.Errorf("asked again after %v, want %v", at, want)
	}
}

func TestForgottenRequestsAreNotAskedAgain(t *testing.T) {
	l := newLane(t)
	l.Step(start, []lane.Event{lane.Asked{Request: 1, Until: start.Add(time.Minute), Ask: lane.GetAccount{Bank: "A"}}})
	effects := l.Step(start.Add(50*time.Millisecond), []lane.Event{lane.Forgotten{Request: 1}})
	later := l.Step(start.Add(3*time.Second), []lane.Event{lane.Received{From: 1, Message: lane.ForwardReply{Request: 1}}})
	if n := len(effects.Answers) + len(later.Answers) + len(forClients(later)); n != 0 {
		t.Errorf("%+v, then %+v", effects, later)
	}
}
