package storage

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Metrics are counts since Open, for the host to publish.
type Metrics struct {
	Commits     uint64  // synced batches
	Entries     uint64  // log entries in them
	CommitBytes uint64  // keys and values handed to Pebble, in batches or files
	CommitTime  Latency // from Commit's begin until the disk has confirmed

	WALBytes     uint64 // written to the write-ahead log
	FlushBytes   uint64 // written when memtables became files
	IngestBytes  uint64 // of checkpoints that were files, as written
	CompactBytes uint64 // written again by compactions; (WAL + flush + ingest + compact) / commit bytes is the write amplification

	DiskBytes     uint64 // what the store occupies
	DiskFreeBytes uint64 // what the file system has left; zero if it doesn't say
	SlowDisk      uint64 // operations that took longer than 5 seconds
	Stalls        uint64 // times that commits had to wait for compactions
}

// latencyBuckets doubles from 16 µs: bucket i counts durations below 16 µs << i, the last one all others.
const (
	latencyBuckets = 20
	latencyFirst   = 16 * time.Microsecond
)

// Latency is a histogram with buckets that double.
type Latency struct {
	Count   uint64
	Sum     time.Duration
	Max     time.Duration
	Buckets [latencyBuckets]uint64 // not cumulative; Bound says what each counts
}

// Bound is the upper end of a bucket; the last bucket has none.
func (*Latency) Bound(bucket int) time.Duration { return latencyFirst << bucket }

// Quantile is an upper bound of the q-quantile, 0 < q ≤ 1, at most twice too high.
func (l *Latency) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.Count))
	for i, n := range l.Buckets {
		if rank < n {
			return min(l.Bound(i), l.Max)
		}
		rank -= n
	}
	return l.Max
}

// meter counts. All of it is atomic: commits of several lanes end at the same time.
type meter struct {
	commits, entries, bytes atomic.Uint64
	sum, max                atomic.Int64
	buckets                 [latencyBuckets]atomic.Uint64
	slow, stalls            atomic.Uint64
}

func (m *meter) committed(updates []GroupUpdate, bytes int, took time.Duration) {
	entries := 0
	for i := range updates {
		entries += len(updates[i].Entries)
	}
	m.commits.Add(1)
	m.entries.Add(uint64(entries))
	m.bytes.Add(uint64(bytes))
	m.sum.Add(int64(took))
	m.buckets[bucketOf(took)].Add(1)
	for {
		top := m.max.Load()
		if int64(took) <= top || m.max.CompareAndSwap(top, int64(took)) {
			return
		}
	}
}

// checkpointed counts a checkpoint that was a file: no commit waited for it.
func (m *meter) checkpointed(bytes int) { m.bytes.Add(uint64(bytes)) }

func bucketOf(took time.Duration) int {
	return min(bits.Len64(uint64(took/latencyFirst)), latencyBuckets-1)
}

func (m *meter) latency() Latency {
	l := Latency{Sum: time.Duration(m.sum.Load()), Max: time.Duration(m.max.Load())}
	for i := range m.buckets {
		l.Buckets[i] = m.buckets[i].Load()
		l.Count += l.Buckets[i]
	}
	return l
}

// Metrics collects the counts. It takes locks inside Pebble: once a second is fine, once a commit is not.
func (s *Store) Metrics() (Metrics, error) {
	if err := s.enter(); err != nil {
		return Metrics{}, err
	}
	defer s.leave()
	p := s.db.Metrics()
	m := Metrics{
		Commits: s.meter.commits.Load(), Entries: s.meter.entries.Load(), CommitBytes: s.meter.bytes.Load(), CommitTime: s.meter.latency(),
		WALBytes:  p.WAL.BytesWritten,
		DiskBytes: p.DiskSpaceUsage(),
		SlowDisk:  s.meter.slow.Load(), Stalls: s.meter.stalls.Load(),
	}
	for i := range p.Levels { // not Metrics.Total, which counts the write-ahead log as flushed
		m.FlushBytes += p.Levels[i].TableBytesFlushed + p.Levels[i].BlobBytesFlushed
		m.IngestBytes += p.Levels[i].TableBytesIngested
		m.CompactBytes += p.Levels[i].TableBytesCompacted + p.Levels[i].BlobBytesCompacted
	}
	if usage, err := s.fs.GetDiskUsage(s.dir); err == nil {
		m.DiskFreeBytes = usage.AvailBytes
	}
	return m, nil
}
