package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
)

// startPatience is how long a node may take to answer before a spell goes by without effect.
const startPatience = 5 * time.Second

// askAgain is how long a spell waits before it looks again for a node without troubles.
const askAgain = 100 * time.Millisecond

// nemesis carries out storms.
type nemesis struct {
	c *cluster
	j *journal

	mu       sync.Mutex // guards the rest
	busy     [nodes]bool
	injected map[string]int
	missed   map[string]int // spells that found nobody to hit
}

// missedMost is how often a kind may find nobody to hit before a run that never saw it hit is none: one may come when all have troubles already.
const missedMost = 3

// neverHit names the kinds of which a run shows nothing, although their turn came often enough.
func (n *nemesis) neverHit() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range kindNames() {
		if n.injected[name] == 0 && n.missed[name] >= missedMost {
			names = append(names, name)
		}
	}
	return names
}

// kind is one sort of fault.
type kind struct {
	name string
	what string
	do   func(n *nemesis, s spell, over <-chan struct{}) (hit bool)
}

// kinds are what can go wrong, one process or one way of the network at a time or several at once.
var kinds []kind

func init() {
	kinds = []kind{ // in a function, for some of them look at the list
		{"kill", "SIGKILL, and a new start on the same data", (*nemesis).killOne},
		{"kill-all", "SIGKILL to all at once, as when the power fails", (*nemesis).killAll},
		{"pause", "SIGSTOP, later SIGCONT", (*nemesis).pause},
		{"restart", "SIGTERM and a new start, of the next version once per node", (*nemesis).restart},
		{"partition", "one node hears nobody and is heard by nobody", (*nemesis).partition},
		{"one-way", "one node is not heard any more, and hears the others", (*nemesis).oneWay},
		{"bridge", "two nodes hear each other only through the third", (*nemesis).bridge},
		{"refused", "connections to and from one node break and can't be made", (*nemesis).refused},
		{"flaky", "connections between nodes break again and again", (*nemesis).flaky},
		{"latency", "messages between nodes come late", (*nemesis).latency},
		{"slow", "messages between nodes come at a trickle", (*nemesis).slow},
		{"clients", "a node's clients lose their connections, or hear nothing", (*nemesis).clients},
		{"full-disk", "no room on a node's disk", (*nemesis).fullDisk},
		{damageKind, "SIGKILL, a file of the node changes or goes, and a new start", (*nemesis).damage},
	}
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// storm carries out spells, each in its time, and returns when all are over, at the latest after length.
func (n *nemesis) storm(ctx context.Context, spells []spell, length time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	began := time.Now()
	var going sync.WaitGroup
	for _, s := range spells {
		timer := time.NewTimer(time.Until(began.Add(s.at)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			break
		}
		going.Go(func() { n.cast(ctx, s) })
	}
	<-ctx.Done()
	going.Wait()
}

// cast carries out one spell.
func (n *nemesis) cast(ctx context.Context, s spell) {
	ctx, cancel := context.WithTimeout(ctx, s.length)
	defer cancel()
	k := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == s.kind })]
	hit := k.do(n, s, ctx.Done())
	n.mu.Lock()
	defer n.mu.Unlock()
	if hit {
		n.injected[s.kind]++
	} else {
		n.missed[s.kind]++
	}
}

// aim chooses a node: in half of the cases who leads a group, if anybody knows.
func (n *nemesis) aim(s spell) int {
	at := int(s.pick >> 24 % nodes)
	if s.pick>>8%2 == 0 {
		groups := []string{"coordinator/0", "coordinator/1", "coordinator/2", "bank/north", "bank/south"}
		if leader := n.c.leaderOf(context.Background(), groups[s.pick>>16%uint64(len(groups))]); leader >= 0 {
			at = leader
		}
	}
	return at
}

// take chooses a node that has no trouble of its own yet, the first of some. -1: there is none.
func (n *nemesis) take(candidates ...int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range candidates {
		if !n.busy[at] {
			n.busy[at] = true
			return at
		}
	}
	return -1
}

// from lists all nodes, one first.
func from(first int) (all []int) {
	for i := range nodes {
		all = append(all, (first+i)%nodes)
	}
	return all
}

// await is take, but while all have troubles it waits, for as long as the spell lasts: it is cast for the rest of its time.
func (n *nemesis) await(over <-chan struct{}, candidates ...int) int {
	for {
		if at := n.take(candidates...); at >= 0 {
			return at
		}
		select {
		case <-time.After(askAgain):
		case <-over:
			return -1
		}
	}
}

func (n *nemesis) release(at int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy[at] = false
}

// one does something to a node and undoes it.
func (n *nemesis) one(s spell, over <-chan struct{}, do, undo func(*server) error) bool {
	at := n.await(over, from(n.aim(s))...)
	if at < 0 {
		return false
	}
	defer n.release(at)
	who := n.c.servers[at]
	n.j.note("%s: node %d, for %.1fs at most", s.kind, who.id, s.length.Seconds())
	if err := do(who); err != nil {
		n.j.note("%s: node %d, not done: %v", s.kind, who.id, err)
		return false
	}
	<-over
	n.j.note("%s: node %d, over", s.kind, who.id)
	if err := undo(who); err != nil {
		n.j.note("%s: node %d, over: %v", s.kind, who.id, err)
	}
	return true
}

func (n *nemesis) killOne(s spell, over <-chan struct{}) bool {
	return n.one(s, over, func(who *server) error {
		who.kill("as scheduled")
		return nil
	}, (*server).start)
}

func (n *nemesis) killAll(s spell, over <-chan struct{}) bool {
	var hit []int
	for {
		at := n.take(from(0)...)
		if at < 0 {
			break
		}
		hit = append(hit, at)
	}
	if len(hit) == 0 {
		return false
	}
	n.j.note("kill-all: %d nodes, for %.1fs", len(hit), s.length.Seconds())
	var going sync.WaitGroup
	for _, at := range hit {
		going.Go(func() { n.c.servers[at].kill("with all others") })
	}
	going.Wait()
	<-over
	for _, at := range hit {
		if err := n.c.servers[at].start(); err != nil {
			n.j.note("kill-all, over: %v", err)
		}
		n.release(at)
	}
	return true
}

func (n *nemesis) pause(s spell, over <-chan struct{}) bool {
	return n.one(s, over, func(who *server) error {
		who.signal(syscall.SIGSTOP, "")
		return nil
	}, func(who *server) error {
		who.signal(syscall.SIGCONT, "")
		return nil
	})
}

// restart moves the first node that still runs the old program to the new one, then begins with any.
func (n *nemesis) restart(s spell, over <-chan struct{}) bool {
	return n.one(s, over, func(who *server) error {
		who.ask()
		n.upgrade(who)
		return nil
	}, (*server).start)
}

// upgrade makes the next process of a server run the next program.
func (n *nemesis) upgrade(who *server) {
	if who.use(n.c.programs.next) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.injected["upgrade"]++
	}
}

// among puts a weather on some ways of the network until the spell is over.
func (n *nemesis) among(s spell, over <-chan struct{}, what string, ways []way, w weather) bool {
	n.j.note("%s: %s, for %.1fs", s.kind, what, s.length.Seconds())
	n.c.net.set(ways, w)
	<-over
	n.j.note("%s: %s, over", s.kind, what)
	n.c.net.set(ways, weather{})
	return true
}

func (n *nemesis) partition(s spell, over <-chan struct{}) bool {
	who := n.victim(s)
	return n.among(s, over, fmt.Sprintf("node %d alone", who), n.c.net.around(who), weather{stalled: true})
}

func (n *nemesis) oneWay(s spell, over <-chan struct{}) bool {
	who := n.victim(s)
	return n.among(s, over, fmt.Sprintf("nobody hears node %d", who), n.c.net.out(who), weather{stalled: true})
}

func (n *nemesis) bridge(s spell, over <-chan struct{}) bool {
	who := n.victim(s)
	return n.among(s, over, fmt.Sprintf("only node %d hears both others", who), n.c.net.opposite(who), weather{stalled: true})
}

func (n *nemesis) refused(s spell, over <-chan struct{}) bool {
	who := n.victim(s)
	return n.among(s, over, fmt.Sprintf("node %d can't be connected with", who), n.c.net.around(who), weather{refused: true})
}

func (n *nemesis) flaky(s spell, over <-chan struct{}) bool {
	n.c.net.cutAll()
	breaks := 50*time.Millisecond + time.Duration(s.degree*float64(time.Second))
	return n.among(s, over, fmt.Sprintf("a connection lasts %v", breaks.Round(time.Millisecond)), n.c.net.all(), weather{breaks: breaks})
}

func (n *nemesis) latency(s spell, over <-chan struct{}) bool {
	delay := delayMin + time.Duration(s.degree*float64(delayMax-delayMin))
	ways, whose := n.c.net.all(), "all"
	if s.pick%2 == 0 {
		who := n.victim(s)
		ways, whose = n.c.net.around(who), fmt.Sprintf("node %d's", who)
	}
	return n.among(s, over, fmt.Sprintf("%s messages come %v late", whose, delay.Round(time.Millisecond)), ways, weather{delay: delay})
}

func (n *nemesis) slow(s spell, over <-chan struct{}) bool {
	bytes := 2_000 + int(s.degree*100_000)
	who := n.victim(s)
	return n.among(s, over, fmt.Sprintf("node %d hears and says %d bytes a second", who, bytes), n.c.net.around(who), weather{bytes: bytes})
}

// victim is a node whose network suffers, whatever else it suffers from.
func (n *nemesis) victim(s spell) uint64 { return n.c.places[n.aim(s)].id }

func (n *nemesis) clients(s spell, over <-chan struct{}) bool {
	who := n.victim(s)
	l := n.c.net.clients[who]
	if s.pick%2 == 0 {
		n.j.note("clients: those of node %d lose their connections", who)
		l.cut()
		return true
	}
	n.j.note("clients: those of node %d hear nothing for %.1fs", who, s.length.Seconds())
	l.set(weather{stalled: true})
	<-over
	l.set(weather{})
	return true
}

// fullDisk fills the disk of a node that runs. One that is just starting would end: it says so and waits for nobody (docs/storage.md). So one that ends there
// because of damage stays down until there is room.
func (n *nemesis) fullDisk(s spell, over <-chan struct{}) bool {
	return n.one(s, over, func(who *server) error {
		if err := n.c.answers(who.id, startPatience); err != nil {
			return err
		}
		who.stayDown(true)
		err := who.disk.fill(who.pid())
		if err != nil {
			who.stayDown(false)
		}
		return err
	}, func(who *server) error {
		err := who.disk.free(who.pid())
		who.stayDown(false)
		return errors.Join(err, who.start())
	})
}

// damage changes a file of a node between its end and its next start, with the next program: an older one may not see everything. From then on it may end
// when it comes by what was damaged.
func (n *nemesis) damage(s spell, over <-chan struct{}) bool {
	at := n.await(over, damagedNode-1)
	if at < 0 {
		return false
	}
	defer n.release(at)
	who := n.c.servers[at]
	who.kill("to damage a file of it")
	err := clearAside(who.data)
	what := ""
	n.upgrade(who)
	if err == nil {
		who.spoilt()
		what, err = spoil(who.data, s.pick)
	}
	if err != nil {
		n.j.note("damage: node %d, not done: %v", who.id, err)
	} else {
		n.j.note("damage: node %d: %s", who.id, what)
	}
	if err := who.start(); err != nil {
		n.j.note("damage: node %d: %v", who.id, err)
	}
	return err == nil
}
