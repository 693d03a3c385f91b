package storage

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	cacheBytesDefault = 64 << 20
	memTableBytes     = 64 << 20
	memTablesMax      = 4
	bytesPerSync      = 512 << 10
	filterBitsPerKey  = 10
	tablesOpenMax     = 1000

	// A checkpoint of fewer bytes goes through the log. Files cost a few syncs and a part in compactions each; through the log go all bytes twice, and
	// through the memtable all records one by one (docs/benchmarks.md).
	fileBytesMin = 256 << 10
)

// FilesMax is how many files a store has open at most: tables that are read, and for each flush, compaction and checkpoint a few more.
const FilesMax = tablesOpenMax + 200

// pebbleOptions chooses for two kinds of data: log entries, large and dead within seconds, and state, small,
// long-lived and read one key at a time.
func pebbleOptions(opts Options, s *Store, log *logger) *pebble.Options {
	o := formatOptions(opts)
	o.FS = guardFS{FS: opts.FS, fuse: s.fuse, pacing: s.pacing}
	o.Lock = s.lock
	o.Logger = log
	o.EventListener = listener(s, log)

	// A log entry that is compacted away before its memtable is flushed is written once, to the write-ahead log, and never
	// again. So the memtable is as large as a node can afford; docs/storage.md has the measurement.
	o.MemTableSize = opts.memTableBytes()
	// Commits go on while this many memtables wait for their flush; a slow disk moment then costs memory, not a stall.
	o.MemTableStopWritesThreshold = memTablesMax
	// Files of the first level wait for each other longer than Pebble's default of 4: most of what they hold is log that will
	// be compacted away meanwhile, and what waits needs no rewriting. Filters keep reads past them cheap.
	o.L0CompactionThreshold = 8
	o.L0StopWritesThreshold = 24
	// Half of the processors at most: compactions must not starve the lanes.
	o.CompactionConcurrencyRange = func() (int, int) { return 1, max(1, min(runtime.NumCPU(), runtime.GOMAXPROCS(0))/2) }
	// The write-ahead log is never compressed by Pebble, files are synced in the background every BytesPerSync, so that no
	// flush ends in one large sync that a commit has to wait behind.
	o.BytesPerSync = bytesPerSync
	// A table holds one kind of record. Kinds grow at different ends, and one wide table lies over all of them: what is ingested stays above it, and is rewritten for its sake.
	o.Experimental.SpanPolicyFunc = func(start []byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{}, endOfKind(start), nil
	}
	o.WithFSDefaults() // tells of operations that take longer than 5 seconds
	return o
}

// formatOptions are those that every opening needs, a read-only one too.
func formatOptions(opts Options) *pebble.Options {
	o := &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest, // with sync offsets in the write-ahead log: damage before its end is told from a torn tail
		CacheSize:          opts.CacheBytes,
		MaxOpenFiles:       tablesOpenMax,
		Logger:             newLogger(opts.Logger),
	}
	if o.CacheSize == 0 {
		o.CacheSize = cacheBytesDefault
	}
	// Pebble takes memtables out of the cache. Without the usual two on top, nothing would be left for blocks and every lookup
	// would read its filter from the disk (measured: 33 µs instead of 5).
	o.CacheSize += 2 * int64(opts.memTableBytes())
	// Every new transfer id is looked up and usually isn't there: a filter of 10 bits a key answers 99 % of these without a block.
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
	for i := 1; i < len(o.Levels); i++ {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBitsPerKey)
	}
	// The cheapest compression everywhere: state is small records of ids and numbers, and CPU is what transfers are made of.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

func (o *Options) memTableBytes() uint64 {
	if o.MemTableBytes == 0 {
		return memTableBytes
	}
	return uint64(o.MemTableBytes)
}

func openReadOnly(dir string, fs vfs.FS, lock *pebble.Lock) (*pebble.DB, error) {
	if err := checkManifest(fs, dir); err != nil {
		return nil, err
	}
	o := formatOptions(Options{})
	o.FS, o.Lock, o.ReadOnly = fs, lock, true
	o.EventListener = &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}} // the reader gets an error too
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, damagedFile(dir, err)
	}
	return db, nil
}

// listener hears what Pebble does in the background. A failed flush or compaction would be tried again for ever
// while commits pile up behind it: it is as fatal as a failed commit.
func listener(s *Store, log *logger) *pebble.EventListener {
	f, m := s.fuse, &s.meter
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			_ = f.blow("background work", err)
			time.Sleep(time.Second) // what reads tables' statistics tries the same again at once until the process ends; locks may be held here
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			damage := fmt.Errorf("%w: %s: %w; %s", ErrDamaged, info.Path, info.Details, toRepair)
			s.terms.condemn(f, damage)
			_ = f.blow("reading", damage)
		},
		DiskSlow: func(info vfs.DiskSlowInfo) {
			m.slow.Add(1)
			log.to.Warn("disk slow", "file", info.Path, "operation", info.OpType.String(), "duration_ms", info.Duration.Milliseconds())
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			m.stalls.Add(1)
			log.to.Warn("commits wait for compaction", "reason", info.Reason)
			s.pacing.hurry(true)
		},
		WriteStallEnd: func() { s.pacing.hurry(false) },
	}
}

// logger is what Pebble writes to. Its chatter is dropped, its errors are kept.
type logger struct {
	to   *slog.Logger
	fuse *fuse // nil in a read-only opening
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to}
}

func (l *logger) fatal(err error) { l.to.Error("storage failed", "err", err) }

func (l *logger) full(waiting bool) {
	if waiting {
		l.to.Error("disk full: writes wait until there is space")
		return
	}
	l.to.Info("disk has space again: writes go on")
}

// Infof drops it.
func (l *logger) Infof(string, ...any) {}

// Errorf keeps it.
func (l *logger) Errorf(format string, args ...any) {
	l.to.Error("pebble", "err", fmt.Sprintf(format, args...))
}

// Fatalf must not return: like a failed write it blows the fuse and stands still with the locks it holds.
func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if l.fuse == nil {
		panic(err)
	}
	l.fuse.hold("pebble", "gave up", err)
}
