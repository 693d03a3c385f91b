package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/ledger"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/transfer"
)

// foreignBank is the bank that isn't ours, strangerID the node at which it is asked.
const (
	foreignBank transfer.BankID = "ELSEWHERE"
	strangerID  raft.NodeID     = hostsMax + 1
)

// stranger is a foreign bank: no lane, no replica, no answer to anything but a bank's four requests. It keeps the law of a bank (package bank) and has
// moods: it hangs, answers late, twice, or with rubbish, refuses for no reason, and restarts with all that it had answered and nothing else.
type stranger struct {
	w       *world
	rng     *rand.Rand
	ledger  *ledger.Ledger
	index   uint64 // of the last batch that was executed
	life    uint64 // counts starts
	hangs   time.Duration
	askedBy map[transfer.ID]lane.GroupID // who prepared what

	inquired ledger.HoldPlace // of the last hold that it asked about
}

func newStranger(w *world) *stranger {
	l, err := ledger.New(nil)
	if err != nil {
		panic(err)
	}
	return &stranger{w: w, rng: stream(w.cfg.Seed, streamStranger), ledger: l, askedBy: map[transfer.ID]lane.GroupID{}}
}

// begin opens its accounts.
func (s *stranger) begin(terms []bank.Terms) {
	var commands []ledger.Command
	for i := range terms {
		commands = append(commands, ledger.Command{Open: &terms[i]})
	}
	s.execute(commands)
	s.inquire()
}

func (s *stranger) execute(commands []ledger.Command) []ledger.Result {
	s.index++
	results, err := s.ledger.Apply(s.index, ledger.Encode(epoch.Add(s.w.now), commands))
	if err != nil {
		s.w.fail("a foreign bank can go on", "%v", err)
	}
	return results
}

// mood is what a batch of requests may meet.
type mood int

const (
	prompt mood = iota
	hanging
	late
	twice
	rubbish
	refusing
	restarting
	moods
)

// receive takes what arrives at its node.
func (s *stranger) receive(from raft.NodeID, packet []lane.Message) {
	for _, m := range packet {
		if requests, ok := m.(lane.BankRequests); ok && requests.Bank == foreignBank {
			s.asked(from, requests)
		}
	}
}

func (s *stranger) asked(from raft.NodeID, m lane.BankRequests) {
	if s.w.now < s.hangs {
		if s.rng.IntN(2) == 0 {
			life := s.life
			s.w.at(s.hangs, func() {
				if s.life == life {
					s.asked(from, m)
				}
			})
		}
		return
	}
	now := prompt
	if s.w.mischief.dares(moody, s.rng, s.w.faults.Foreign) {
		now = mood(1 + s.rng.IntN(int(moods)-1))
		s.w.counts.Moods++
		s.w.trace.note(s.w.now, "is in a mood", strangerID, from, now, uint64(now))
	}
	switch now {
	case hanging:
		s.hangs = s.w.now + downtime(s.rng)
		return
	case restarting:
		s.life++
		s.hangs = s.w.now + downtime(s.rng)
		return
	case refusing:
		for i := range m.Requests {
			for k := range m.Requests[i].Legs {
				m.Requests[i].Legs[k].Account = "nobody"
			}
		}
	}
	s.answer(from, m, now)
}

// answer executes a batch, and answers when that is durable.
func (s *stranger) answer(to raft.NodeID, m lane.BankRequests, now mood) {
	commands := make([]ledger.Command, len(m.Requests))
	for i := range m.Requests {
		commands[i].Request = &m.Requests[i]
		s.askedBy[m.Requests[i].ID] = m.Coordinator
	}
	answers := make([]bank.Answer, 0, len(commands))
	for _, r := range s.execute(commands) {
		answers = append(answers, r.Answer)
	}
	delay := time.Duration(200+s.rng.IntN(2000)) * time.Microsecond
	if now == late {
		delay += downtime(s.rng)
	}
	said := lane.BankAnswers{Bank: foreignBank, Coordinator: m.Coordinator, Answers: answers}
	s.w.judge.banks.hear(&said, 0) // in the order in which it decided: what it says may come late, and in any order
	s.say(delay, to, said)
	switch now {
	case twice:
		s.say(delay+downtime(s.rng), to, said)
	case rubbish:
		wrong := slices.Clone(answers)
		for i := range wrong {
			switch s.rng.IntN(3) {
			case 0:
				wrong[i].Result = 0 // says nothing
			case 1:
				wrong[i].Result = 200 // of no version that we know
			default: // says something of other content, under an id that may be in flight
				wrong[i].Fingerprint[0] ^= 1
				wrong[i].Op, wrong[i].Result = bank.Prepare, bank.Yes
			}
		}
		said.Answers = wrong
		s.w.net.rubbish(strangerID, to, said)
	}
}

// say sends something after a while, if the bank isn't restarted before.
func (s *stranger) say(delay time.Duration, to raft.NodeID, m lane.Message) {
	life := s.life
	s.w.after(delay, func() {
		if s.life == life {
			s.w.net.send(strangerID, []lane.Send{{To: to, Message: m}})
		}
	})
}

// inquire asks about old holds, at any member of the coordinator's group: it doesn't know who leads.
func (s *stranger) inquire() {
	s.w.after(500*time.Millisecond, s.inquire)
	if s.w.now < s.hangs {
		return
	}
	var old []transfer.ID
	old, s.inquired = s.ledger.OldHolds(epoch.Add(s.w.now-s.w.limits.OrphanAfter), s.inquired, 8)
	for _, id := range old {
		for shard, members := range s.w.shape.directory.Coordinators {
			if group := lane.CoordinatorGroup(shard); group == s.askedBy[id] {
				to := members[s.rng.IntN(len(members))]
				s.w.net.send(strangerID, []lane.Send{{To: to, Message: lane.Inquiry{Coordinator: group, Bank: foreignBank, IDs: []transfer.ID{id}}}})
			}
		}
	}
}

// replica shows judges its books as if they were those of a replica.
func (s *stranger) replica() lane.Replica {
	return lane.Replica{Group: lane.BankGroup(foreignBank), Bank: foreignBank, Applied: raft.Index(s.index), Ledger: s.ledger}
}
