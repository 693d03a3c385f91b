package node

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quorate/quorate/lane"
	"github.com/quorate/quorate/raft"
	"github.com/quorate/quorate/storage"
	"github.com/quorate/quorate/transport"
)

// askWithin bounds how long a scrape waits for the loop. A loop that doesn't answer is what an operator wants to see, and to see soon.
const askWithin = 2 * time.Second

// counters are what the node counts as it happens; the rest is asked for at each scrape.
type counters struct {
	leaderChanges *prometheus.CounterVec // by group
	violations    *prometheus.CounterVec // by bank
	refused       *prometheus.CounterVec // messages, by peer
	dropped       *prometheus.CounterVec // envelopes, by peer
	snapshotsSent *prometheus.CounterVec // by group
	snapshotsGot  *prometheus.CounterVec // likewise
}

// newCounters has what may be counted stand at zero: a count that begins with its first event is no rise to whoever watches for one.
func newCounters(config *Config) *counters {
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	c := &counters{
		leaderChanges: vector("quorate_raft_leader_changes_total", "Leaders of a group that this node has heard of.", "group"),
		violations:    vector("quorate_bank_violations_total", "Answers of a bank that it can't do what was decided: money is at risk.", "bank"),
		refused:       vector("quorate_peer_messages_refused_total", "Messages of a node that can't be right.", "peer"),
		dropped:       vector("quorate_peer_envelopes_dropped_total", "Envelopes for a node, or requests that it forwards, that were dropped: it isn't connected, or too much waits.", "peer"),
		snapshotsSent: vector("quorate_snapshots_begun_total", "Snapshots begun for a member that is behind the log.", "group"),
		snapshotsGot:  vector("quorate_snapshots_installed_total", "Snapshots of others that this node has installed.", "group"),
	}
	for _, b := range config.Banks {
		c.violations.WithLabelValues(b.ID)
	}
	for _, n := range config.Nodes {
		if n.ID != config.Node {
			c.refused.WithLabelValues(nodeLabel(raft.NodeID(n.ID)))
			c.dropped.WithLabelValues(nodeLabel(raft.NodeID(n.ID)))
		}
	}
	return c
}

func (c *counters) vectors() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{c.leaderChanges, c.violations, c.refused, c.dropped, c.snapshotsSent, c.snapshotsGot}
}

// count takes a report of the lane.
func (c *counters) count(report lane.Report) {
	switch r := report.(type) {
	case lane.LeaderChanged:
		if r.Leader != 0 {
			c.leaderChanges.WithLabelValues(string(r.Group)).Inc()
		}
	case lane.BankViolated:
		c.violations.WithLabelValues(string(r.Violation.Bank)).Inc()
	case lane.MessageRefused:
		c.refused.WithLabelValues(nodeLabel(r.From)).Inc()
	case lane.SnapshotBegun:
		c.snapshotsSent.WithLabelValues(string(r.Group)).Inc()
	case lane.SnapshotInstalled:
		c.snapshotsGot.WithLabelValues(string(r.Group)).Inc()
	}
}

// countPeer takes an event of the transport, from any goroutine.
func (c *counters) countPeer(e *transport.Event) {
	if e.Peer != 0 && e.Envelopes > 0 {
		c.dropped.WithLabelValues(nodeLabel(e.Peer)).Add(float64(e.Envelopes))
	}
}

func nodeLabel(id raft.NodeID) string { return strconv.FormatUint(uint64(id), 10) }

// gauges are asked for at each scrape.
var gauges = struct {
	answers, leads, term, commit, applied                         *prometheus.Desc
	inFlight, held, inDoubt, bankUp, bankBreaker                  *prometheus.Desc
	peerUp, queue                                                 *prometheus.Desc
	sync, entries, walBytes, flushBytes, ingestBytes, compactions *prometheus.Desc
	stored, free, full, stalls, slow                              *prometheus.Desc
}{
	answers: describe("quorate_node_answers", "1 if the node's event loop answered this scrape; 0: what it alone knows is missing here."),
	leads:   describe("quorate_raft_is_leader", "1 if this node leads the group and is ready to answer for it.", "group"),
	term:    describe("quorate_raft_term", "The group's term, as far as this node knows.", "group"),
	commit:  describe("quorate_raft_commit_index", "The last entry of the group that this node knows to be committed.", "group"),
	applied: describe("quorate_raft_applied_index", "The last entry of the group that this node has applied.", "group"),

	inFlight:    describe("quorate_transfers_in_flight", "Transfers that the coordinators led by this node have begun and not settled, without holds that wait for their clients."),
	held:        describe("quorate_transfers_held", "Holds, at the coordinators led by this node, that wait for their clients to capture or void them."),
	inDoubt:     describe("quorate_in_doubt", "Transfers in flight (quorate_transfers_in_flight) that are staged and have no outcome yet."),
	bankUp:      describe("quorate_bank_up", "1 if the bank answers, as far as the coordinators led by this node have asked.", "bank"),
	bankBreaker: describe("quorate_bank_breaker_state", "0 closed; 1 half open; 2 open: the bank is silent and gets no new transfers.", "bank"),

	peerUp: describe("quorate_peer_up", "1 if this node has a stream to the other one.", "peer"),
	queue:  describe("quorate_queue_depth", "What waits: inbox, events for the next step; disk, writes for the next sync; requests, clients' that have no answer yet.", "queue"),

	sync:        describe("quorate_wal_fsync_duration_seconds", "From the begin of a commit until the disk has confirmed it, for all groups of the node together."),
	entries:     describe("quorate_wal_entries_total", "Log entries that were made durable."),
	walBytes:    describe("quorate_wal_bytes_total", "Bytes written to the write-ahead log."),
	flushBytes:  describe("quorate_storage_flushed_bytes_total", "Bytes written when memory tables became files."),
	ingestBytes: describe("quorate_storage_ingested_bytes_total", "Bytes of checkpoints that were files of their own."),
	compactions: describe("quorate_storage_compacted_bytes_total", "Bytes written again by compactions."),
	stored:      describe("quorate_storage_bytes", "What the data directory occupies."),
	free:        describe("quorate_disk_free_bytes", "What the file system of the data directory has left."),
	full:        describe("quorate_disk_full", "1 if so little is left that nothing new is begun here."),
	stalls:      describe("quorate_storage_stalls_total", "Times that commits had to wait for compactions."),
	slow:        describe("quorate_storage_slow_operations_total", "Disk operations that took longer than 5 seconds."),
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Collector publishes what the node counts and knows. It may be scraped while the node runs and after it has stopped.
func (n *Node) Collector() prometheus.Collector { return collector{n} }

type collector struct{ node *Node }

// Describe names all that Collect may send.
func (c collector) Describe(into chan<- *prometheus.Desc) {
	g := &gauges
	for _, d := range []*prometheus.Desc{
		g.answers, g.leads, g.term, g.commit, g.applied, g.inFlight, g.held, g.inDoubt, g.bankUp, g.bankBreaker, g.peerUp, g.queue,
		g.sync, g.entries, g.walBytes, g.flushBytes, g.ingestBytes, g.compactions, g.stored, g.free, g.full, g.stalls, g.slow,
	} {
		into <- d
	}
	for _, v := range c.node.counters.vectors() {
		v.Describe(into)
	}
}

// Collect asks the loop and the store.
func (c collector) Collect(into chan<- prometheus.Metric) {
	for _, v := range c.node.counters.vectors() {
		v.Collect(into)
	}
	s := scrape{into}
	for id, up := range c.node.transport.Up() {
		s.gauge(gauges.peerUp, oneIf(up), nodeLabel(id))
	}
	for queue, depth := range map[string]int{"inbox": c.node.inbox.depth(), "disk": c.node.disk.depth(), "requests": c.node.calls.depth()} {
		s.gauge(gauges.queue, float64(depth), queue)
	}
	if m, err := c.node.StorageMetrics(); err == nil { // else the store is closed: the node has stopped
		s.storage(&m)
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	answer := c.node.Do(ctx, lane.GetStatus{})[0]
	s.gauge(gauges.answers, oneIf(answer.Err == nil))
	if answer.Err == nil {
		s.status(answer.Status)
	}
}

// scrape is one answer to whoever collects.
type scrape struct{ into chan<- prometheus.Metric }

func (s scrape) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s scrape) counter(d *prometheus.Desc, value float64) {
	s.into <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
}

func (s scrape) status(at *lane.Status) {
	for i := range at.Groups {
		g := &at.Groups[i]
		group := string(g.Group)
		s.gauge(gauges.leads, oneIf(g.Leading), group)
		s.gauge(gauges.term, float64(g.Raft.Term), group)
		s.gauge(gauges.commit, float64(g.Raft.Commit), group)
		s.gauge(gauges.applied, float64(g.Raft.Applied), group)
	}
	for i := range at.Banks {
		b := &at.Banks[i]
		s.gauge(gauges.bankUp, oneIf(b.Up), string(b.Bank))
		s.gauge(gauges.bankBreaker, float64(b.Breaker), string(b.Bank))
	}
	s.gauge(gauges.inFlight, float64(at.Counts.InFlight))
	s.gauge(gauges.held, float64(at.Counts.Held))
	s.gauge(gauges.inDoubt, float64(at.Counts.InDoubt))
	s.gauge(gauges.full, oneIf(at.LowSpace))
}

func (s scrape) storage(m *storage.Metrics) {
	buckets, below := map[float64]uint64{}, uint64(0)
	for i := range len(m.CommitTime.Buckets) - 1 { // the last one has no bound
		below += m.CommitTime.Buckets[i]
		buckets[m.CommitTime.Bound(i).Seconds()] = below
	}
	s.into <- prometheus.MustNewConstHistogram(gauges.sync, m.CommitTime.Count, m.CommitTime.Sum.Seconds(), buckets)
	s.counter(gauges.entries, float64(m.Entries))
	s.counter(gauges.walBytes, float64(m.WALBytes))
	s.counter(gauges.flushBytes, float64(m.FlushBytes))
	s.counter(gauges.ingestBytes, float64(m.IngestBytes))
	s.counter(gauges.compactions, float64(m.CompactBytes))
	s.counter(gauges.stalls, float64(m.Stalls))
	s.counter(gauges.slow, float64(m.SlowDisk))
	s.gauge(gauges.stored, float64(m.DiskBytes))
	s.gauge(gauges.free, float64(m.DiskFreeBytes))
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (b *inbox) depth() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

func (d *disk) depth() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.pending)
}

func (c *calls) depth() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
