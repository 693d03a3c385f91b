package driver_test

import "bytes"

// entry is one element of a log; no data: what a new leader begins its term with.
type entry struct {
	term uint64
	data []byte
}

// member is one node's part in the replicated log. It is Raft (Ongaro, chapter 3) without messages: an election
// and a replication each happen at once, whenever the script or the dice say so.
type member struct {
	log     []entry // index i is log[i-1]
	term    uint64
	commit  int // as far as this member knows
	leads   bool
	reached map[*member]int // leader only: what each member has acknowledged in this term
}

// consensus is the group, and the one true log that it must never contradict.
type consensus struct {
	members []*member
	terms   uint64 // the newest term
	chosen  []entry
}

func (m *member) last() (index int, term uint64) {
	if len(m.log) == 0 {
		return 0, 0
	}
	return len(m.log), m.log[len(m.log)-1].term
}

// mayFollow says that a voter may give its vote to a candidate (§3.6.1: at least as up to date).
func (m *member) mayFollow(candidate *member) bool {
	index, term := m.last()
	theirIndex, theirTerm := candidate.last()
	return theirTerm > term || (theirTerm == term && theirIndex >= index)
}

// elect makes the candidate leader of a new term if a quorum of voters may follow it. Those who are not
// asked don't notice, and one of them may still believe that it leads.
func (c *consensus) elect(candidate *member, voters []*member) bool {
	votes := 0
	for _, v := range voters {
		if v.mayFollow(candidate) {
			votes++
		}
	}
	if votes*2 <= len(c.members) {
		return false
	}
	c.terms++
	for _, v := range voters {
		if v.mayFollow(candidate) {
			v.term, v.leads = c.terms, false
		}
	}
	candidate.leads = true
	candidate.log = append(candidate.log, entry{term: c.terms})
	candidate.reached = map[*member]int{candidate: len(candidate.log)}
	return true
}

// propose appends to the leader's own log.
func (m *member) propose(data []byte) (index int) {
	m.log = append(m.log, entry{m.term, data})
	m.reached[m] = len(m.log)
	return len(m.log)
}

// replicate brings the leader's log, up to an index, to one member. False: the member knows a newer term,
// and so does the leader now.
func (m *member) replicate(to *member, upTo int) bool {
	if to.term > m.term {
		m.leads = false
		return false
	}
	if to.term < m.term {
		to.term, to.leads = m.term, false
	}
	upTo = min(upTo, len(m.log))
	for i := range upTo {
		if i >= len(to.log) {
			to.log = append(to.log, m.log[i])
		} else if to.log[i].term != m.log[i].term {
			to.log = append(to.log[:i:i], m.log[i])
		}
	}
	m.reached[to] = max(m.reached[to], upTo)
	to.commit = max(to.commit, min(m.commit, upTo))
	return true
}

// advance commits what a quorum has acknowledged in the leader's own term (§3.6.2). It returns what
// is wrong if that contradicts what was committed before.
func (c *consensus) advance(leader *member) (wrong string) {
	for index := len(leader.log); index > leader.commit; index-- {
		have := 0
		for _, m := range c.members {
			if leader.reached[m] >= index {
				have++
			}
		}
		if have*2 > len(c.members) && leader.log[index-1].term == leader.term {
			leader.commit = index
		}
	}
	for i := range leader.commit {
		if i >= len(c.chosen) {
			c.chosen = append(c.chosen, leader.log[i])
		} else if c.chosen[i].term != leader.log[i].term || !bytes.Equal(c.chosen[i].data, leader.log[i].data) {
			return "two entries were committed at one index"
		}
	}
	return ""
}
