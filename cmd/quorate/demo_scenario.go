package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// trouble is something that the demo does to its cluster when a share of the run is over.
type trouble struct {
	name string
	at   float64 // share of the run, 0 to 1
	what string
	do   func(*demoRun) (heal func(*demoRun), err error)
}

// outage is how long a trouble lasts.
const outage = 3 * time.Second

// troubles are the scenarios by name. Several can be asked for at once.
var troubles = []trouble{
	{"leader-kill", 1.0 / 3, "kills the leader at a third of the run", (*demoRun).killLeader},
	{"bank-kill", 2.0 / 3, "kills a bank at two thirds", (*demoRun).killBank},
	{"partition", 1.0 / 2, "cuts the leader off halfway", (*demoRun).partitionLeader},
}

// parseScenario reads "leader-kill,bank-kill"; "" and "none" are no trouble.
func parseScenario(text string) ([]trouble, error) {
	var chosen []trouble
	if text == "" || text == "none" {
		return nil, nil
	}
	for _, name := range strings.Split(text, ",") {
		i := slices.IndexFunc(troubles, func(t trouble) bool { return t.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("unknown scenario %q. try: %s", name, scenarioNames())
		}
		chosen = append(chosen, troubles[i])
	}
	slices.SortFunc(chosen, func(a, b trouble) int { return int(100*a.at) - int(100*b.at) })
	return chosen, nil
}

func scenarioNames() string {
	names := []string{"none"}
	for _, t := range troubles {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

func (d *demoRun) killLeader() (func(*demoRun), error) {
	m, _, _ := d.cluster.leader()
	if m == nil {
		return nil, fmt.Errorf("there is no leader to kill at the moment")
	}
	d.event("killing node %d, the leader", m.config.Node)
	return restartLater(m), m.kill()
}

func (d *demoRun) killBank() (func(*demoRun), error) {
	m := d.cluster.members[demoCoordinators]
	if !m.up() {
		return nil, fmt.Errorf("node %d is down already", m.config.Node)
	}
	d.event("killing node %d, with its banks", m.config.Node)
	return restartLater(m), m.kill()
}

func restartLater(m *member) func(*demoRun) {
	return func(d *demoRun) {
		d.event("restarting node %d", m.config.Node)
		if err := m.start(); err != nil {
			d.fail(err)
		}
	}
}

func (d *demoRun) partitionLeader() (func(*demoRun), error) {
	m, _, _ := d.cluster.leader()
	if m == nil {
		return nil, fmt.Errorf("there is no leader to cut off at the moment")
	}
	d.event("cutting node %d, the leader, off from the others", m.config.Node)
	m.isolate(true)
	return func(d *demoRun) {
		d.event("connecting node %d again", m.config.Node)
		m.isolate(false)
	}, nil
}
