package rafttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/raft"
)

// command is one line of a play: a verb, plain words, and settings (key=value,value).
type command struct {
	verb     string
	words    []string
	settings map[string][]string
}

func parse(line string) (command, error) {
	fields := strings.Fields(line)
	c := command{verb: fields[0], settings: map[string][]string{}}
	for _, f := range fields[1:] {
		key, value, isSetting := strings.Cut(f, "=")
		if !isSetting {
			c.words = append(c.words, f)
			continue
		}
		c.settings[key] = strings.Split(strings.Trim(value, "()"), ",")
	}
	return c, nil
}

func (c command) arg(i int) string {
	if i < len(c.words) {
		return c.words[i]
	}
	return ""
}

func (c command) node() raft.NodeID        { return raft.NodeID(number(c.arg(0))) }
func (c command) count(i int) int          { return number(c.arg(i)) }
func (c command) list(key string) []string { return c.settings[key] }
func (c command) int(key string) int       { return number(c.value(key)) }
func (c command) value(key string) string  { return strings.Join(c.settings[key], ",") }
func (c command) has(word string) bool     { return slices.Contains(c.words, word) }
func (c command) countOr(i, otherwise int) int {
	if c.arg(i) == "" {
		return otherwise
	}
	return c.count(i)
}

// number reads a decimal; anything else is zero.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// parseID reads 7@2.
func parseID(s string) raft.EntryID {
	index, term, _ := strings.Cut(s, "@")
	return raft.EntryID{Index: raft.Index(number(index)), Term: raft.Term(number(term))}
}

// parseLinks reads 1>2 (one way), 1-2 (both) or 1 (all that it says and hears).
func parseLinks(s string) []link {
	if a, b, ok := strings.Cut(s, ">"); ok {
		return []link{{raft.NodeID(number(a)), raft.NodeID(number(b))}}
	}
	a, b, ok := strings.Cut(s, "-")
	from, to := raft.NodeID(number(a)), raft.NodeID(number(b))
	if !ok {
		to = 0
	}
	if from == 0 {
		return nil
	}
	return []link{{from, to}, {to, from}}
}

// network does what is done to links and to what is on them.
func (e *Env) network(c command) error {
	if c.verb == "step" {
		return e.step(c)
	}
	links := []link{{}}
	if c.arg(0) != "" && c.arg(0) != "all" {
		if links = parseLinks(c.arg(0)); links == nil {
			return fmt.Errorf("%q is no link", c.arg(0))
		}
	}
	for _, l := range links {
		switch c.verb {
		case "cut":
			e.cuts = append(e.cuts, l)
		case "hold":
			e.holds = append(e.holds, l)
		case "release":
			e.holds = slices.DeleteFunc(e.holds, func(h link) bool { return h == l })
		case "deliver":
			kind, known := kindNamed(strings.Join(c.words[1:], " "))
			if len(c.words) > 1 && !known {
				return fmt.Errorf("%q is no message", c.words[1:])
			}
			if !known {
				kind = 0
			}
			e.deliver(l, kind, true)
		default:
			e.tamper(c.verb, l)
		}
	}
	return nil
}

// tamper does to what is on a link now what networks do.
func (e *Env) tamper(verb string, l link) {
	var on, others []raft.Message
	for _, m := range e.net {
		if l.has(&m) {
			on = append(on, m)
		} else {
			others = append(others, m)
		}
	}
	switch verb {
	case "lose":
		for i := range on {
			e.say("%s", printMessage(&on[i], "↛"))
		}
		on = nil
	case "repeat":
		on = append(on, slices.Clone(on)...)
	case "reverse":
		slices.Reverse(on)
	}
	e.net = append(others, on...)
}

// step brings a message made by hand.
func (e *Env) step(c command) error {
	links := parseLinks(c.arg(0))
	kind, known := kindNamed(c.arg(1))
	if k := c.int("kind"); k > 0 {
		kind, known = raft.MessageKind(k), true
	}
	if !known || len(links) != 1 {
		return fmt.Errorf("want: step 1>2 append …")
	}
	m := raft.Message{
		Kind: kind, From: links[0].from, To: links[0].to, Term: raft.Term(c.int("term")),
		Index: raft.Index(c.int("index")), LogTerm: raft.Term(c.int("logterm")), Commit: raft.Index(c.int("commit")),
		Hint: raft.Index(c.int("hint")), HintTerm: raft.Term(c.int("hintterm")), Round: uint64(c.int("round")),
		Reject: c.has("no"), Transfer: c.has("transfer"),
	}
	for _, w := range c.list("entries") {
		id := parseID(w)
		m.Entries = append(m.Entries, raft.Entry{Index: id.Index, Term: id.Term})
	}
	if last := parseID(c.value("last")); last.Index > 0 {
		m.Snapshot = &raft.SnapshotChunk{Last: last, Offset: uint64(c.int("offset"))}
	}
	e.hand(m)
	return nil
}
