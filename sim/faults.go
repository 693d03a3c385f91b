package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Faults says what may go wrong and how often. Chances are from 0 to 1, weights are whole numbers, times simulated.
type Faults struct {
	Loss, Duplication, Reordering float64 // of one message
	Damage                        float64 // of one message: its checksum says so, and it is dropped

	MeanTimeToFault time.Duration // between two of the following, chosen by weight; zero: none happen
	Crash, CrashAll int
	Pause           int // a node stands still for a while, its memory intact
	Partition       int // symmetric
	OneWay          int // a link carries nothing in one direction
	Bridge          int // two sides that hear each other only through one node
	Ring            int // every node hears its two neighbours only
	Eclipse         int // a node is frozen and cut off, and wakes up before it can hear anybody
	SlowDisk        int
	StalledDisk     int
	FailedSync      int // the process ends, and nobody knows what of the sync is durable
	FullDisk        int // nothing can be written until there is room; the node hears of it a moment before
	BitRot          int // what a group has stored can't be read: the process ends and doesn't start until the disk is mended
	ClockJump       int // forwards or backwards
	LostDisk        int // a node crashes and finds what it stored of a group damaged

	CrashPoint   float64 // chance per step or sync that the node crashes in the middle of it
	ClockDrift   float64 // largest difference of a clock's rate from 1
	ClockSkew    time.Duration
	LostAnswers  float64       // a client doesn't hear its answer
	Impatience   float64       // a client doesn't wait for it
	Fickle       float64       // a client that asks again asks for something else under the same id
	NewBounds    float64       // chance that a node starts with other bounds than before, as after a change of its configuration
	Quiet        int           // phases in which nothing of all this begins, but for upgrades and other bounds
	DamagedChunk float64       // of a piece of a snapshot: one bit of it arrives wrong, and the receiver has to see it
	Operator     time.Duration // mean time between two changes of the cluster that somebody asks for; zero: none
	Foreign      float64       // there is a foreign bank, and this is the chance that a batch of requests finds it in a bad mood; zero: there is none
	Upgrade      time.Duration // the world begins with an older version, and this is the mean time between two nodes' upgrades; zero: all run the newest
	EagerReaders bool          // readers show a checkpoint while its sync is still under way, as the production store may
}

// NoFaults is a world where only time passes.
func NoFaults() *Faults { return &Faults{} }

// DrawFaults chooses what goes wrong under a seed. Each kind is absent in some seeds, so that no kind hides another.
func DrawFaults(seed uint64) *Faults {
	rng := stream(seed, streamFaults)
	chance := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return most * rng.Float64() * rng.Float64()
	}
	weight := func() int { return max(0, rng.IntN(6)-2) }
	between := 60 + rng.IntN(1500)
	if rng.IntN(4) == 0 { // a storm: hardly a leader lives to see its successor's entries
		between = 15 + rng.IntN(100)
	}
	f := &Faults{
		Loss: chance(0.3), Duplication: chance(0.3), Reordering: chance(0.5), Damage: chance(0.1),
		MeanTimeToFault: time.Duration(between) * time.Millisecond,
		Crash:           weight(), CrashAll: weight() / 2, Pause: weight(),
		Partition: weight(), OneWay: weight(), Bridge: weight(), Ring: weight(), Eclipse: weight(),
		SlowDisk: weight(), StalledDisk: weight(), FailedSync: weight(), FullDisk: weight() / 2, BitRot: weight() / 2, ClockJump: weight(),
		CrashPoint: chance(0.01), ClockDrift: chance(0.2), ClockSkew: time.Duration(chance(2000)) * time.Millisecond,
		LostAnswers: chance(0.3), Impatience: chance(0.3), NewBounds: chance(1), Quiet: rng.IntN(4),
		DamagedChunk: chance(0.5), LostDisk: weight(),
		EagerReaders: rng.IntN(2) == 0,
	}
	if rng.IntN(2) == 0 {
		f.Operator = time.Duration(100+rng.IntN(1500)) * time.Millisecond
	}
	if f.Operator == 0 && rng.IntN(2) == 0 {
		f.Foreign = 0.01 + 0.3*rng.Float64()
	}
	if rng.IntN(3) == 0 {
		f.Upgrade = time.Duration(100+rng.IntN(2500)) * time.Millisecond
	}
	if rng.IntN(4) > 0 {
		f.Fickle = 0.2 + 0.6*rng.Float64()
	}
	return f
}

// knob is one field of Faults with the name that a command line and a schedule have for it: *float64, *int, *bool or *time.Duration.
type knob struct {
	name  string
	field any
}

func (f *Faults) knobs() []knob {
	return []knob{
		{"loss", &f.Loss}, {"duplication", &f.Duplication}, {"reordering", &f.Reordering}, {"damage", &f.Damage},
		{"every", &f.MeanTimeToFault},
		{"crash", &f.Crash}, {"crash-all", &f.CrashAll}, {"pause", &f.Pause},
		{"partition", &f.Partition}, {"one-way", &f.OneWay}, {"bridge", &f.Bridge}, {"ring", &f.Ring}, {"eclipse", &f.Eclipse},
		{"slow-disk", &f.SlowDisk}, {"stalled-disk", &f.StalledDisk}, {"failed-sync", &f.FailedSync}, {"full-disk", &f.FullDisk},
		{"bit-rot", &f.BitRot}, {"clock-jump", &f.ClockJump}, {"lost-disk", &f.LostDisk},
		{"crash-point", &f.CrashPoint}, {"clock-drift", &f.ClockDrift}, {"clock-skew", &f.ClockSkew},
		{"lost-answers", &f.LostAnswers}, {"impatience", &f.Impatience}, {"new-bounds", &f.NewBounds}, {"quiet", &f.Quiet},
		{"damaged-chunk", &f.DamagedChunk}, {"eager-readers", &f.EagerReaders}, {"operator", &f.Operator}, {"foreign", &f.Foreign},
		{"upgrade", &f.Upgrade}, {"fickle", &f.Fickle},
	}
}

// ParseFaults reads "none", or what goes wrong as name=value[,name=value…]; everything else doesn't. A weight means nothing
// without "every", so that has a default.
func ParseFaults(text string) (*Faults, error) {
	f := &Faults{MeanTimeToFault: 500 * time.Millisecond}
	if text == "none" {
		return NoFaults(), nil
	}
	return f, parseKnobs(text, f.knobs())
}

func parseKnobs(text string, knobs []knob) error {
	var names []string
	byName := map[string]any{}
	for _, k := range knobs {
		byName[k.name] = k.field
		names = append(names, k.name)
	}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		field, known := byName[name]
		if !known {
			return fmt.Errorf("%q is not one of %s", name, strings.Join(names, ", "))
		}
		if err := set(field, value); err != nil {
			return fmt.Errorf("%s=%s: %w", name, value, err)
		}
	}
	return nil
}

// What is not a chance. Shorter times than these would only keep the simulator busy.
const (
	wholeMax = 1000
	timeMin  = time.Millisecond
	timeMax  = time.Hour
)

func set(field any, value string) (err error) {
	switch v := field.(type) {
	case *float64:
		if *v, err = strconv.ParseFloat(value, 64); err != nil || !(*v >= 0 && *v <= 1) { // as it stands, for what is not a number
			return errors.New("a chance is a number from 0 to 1")
		}
	case *int:
		if *v, err = strconv.Atoi(value); err != nil || *v < 0 || *v > wholeMax {
			return fmt.Errorf("it is a whole number from 0 to %d", wholeMax)
		}
	case *bool:
		if *v, err = strconv.ParseBool(value); err != nil {
			return errors.New("it is true or false")
		}
	case *time.Duration:
		if *v, err = time.ParseDuration(value); err != nil || *v != 0 && (*v < timeMin || *v > timeMax) {
			return fmt.Errorf("a time is 0, or from %v to %v, as in 500ms", timeMin, timeMax)
		}
	}
	return nil
}

// String is what ParseFaults reads.
func (f *Faults) String() string {
	text := formatKnobs(f.knobs())
	switch {
	case text == "":
		return "none"
	case f.MeanTimeToFault == 0:
		text += ",every=0s"
	}
	return text
}

// formatKnobs leaves out what is zero.
func formatKnobs(knobs []knob) string {
	var parts []string
	for _, k := range knobs {
		text := ""
		switch v := k.field.(type) {
		case *float64:
			text = strconv.FormatFloat(*v, 'g', -1, 64)
		case *int:
			text = strconv.Itoa(*v)
		case *bool:
			text = strconv.FormatBool(*v)
		case *time.Duration:
			text = v.String()
		}
		if text != "0" && text != "false" && text != "0s" {
			parts = append(parts, k.name+"="+text)
		}
	}
	return strings.Join(parts, ",")
}

// calmed is the same world with nothing that begins anew. What a clock or a disk is like stays.
func (f *Faults) calmed() *Faults {
	calm := *f
	calm.Loss, calm.Duplication, calm.Reordering, calm.Damage = 0, 0, 0, 0
	calm.CrashPoint, calm.LostAnswers, calm.Impatience, calm.Fickle, calm.DamagedChunk, calm.Foreign = 0, 0, 0, 0, 0, 0
	return &calm
}

// off switches one knob off and says whether it was on.
func (k *knob) off() bool {
	switch v := k.field.(type) {
	case *float64:
		on := *v != 0
		*v = 0
		return on
	case *int:
		on := *v != 0
		*v = 0
		return on
	case *bool:
		on := *v
		*v = false
		return on
	case *time.Duration:
		on := *v != 0
		*v = 0
		return on
	}
	return false
}

// kind is a sort of single fault. Each has a number within its kind: which of the occasions it took.
type kind uint8

const (
	strike kind = iota // of the nemesis
	lost
	doubled
	reordered
	damaged
	spoiled // a piece of a snapshot with a wrong bit
	crashPoint
	unheard   // an answer that a client doesn't hear
	impatient // a client that doesn't wait
	rebound   // a start with other bounds
	change    // of the cluster
	moody     // a batch of requests that a foreign bank doesn't just answer
	upgraded  // a node that is restarted with the newest version
	fickle    // a client that asks for something else under the same id
	kinds
)

var kindNames = [kinds]string{"strike", "lost", "doubled", "reordered", "damaged", "spoiled", "crash-point", "unheard", "impatient", "rebound", "change", "moody", "upgraded", "fickle"}

func (k kind) String() string { return kindNames[k] }

// fault names one fault of a run.
type fault struct {
	kind   kind
	number uint32
}

// mischief decides about every single fault and remembers those that happened. The dice are thrown for all of them, also
// for those that a schedule forbids, so that the others stay what they were for as long as possible.
type mischief struct {
	only     map[fault]bool // nil: whatever the dice say
	occasion [kinds]uint32
	happened []fault
}

// dare says whether a fault happens whose turn it is.
func (m *mischief) dare(k kind, dice bool) bool {
	m.occasion[k]++
	if !dice {
		return false
	}
	f := fault{k, m.occasion[k]}
	if m.only != nil && !m.only[f] {
		return false
	}
	m.happened = append(m.happened, f)
	return true
}

// dares throws the dice with the given chance.
func (m *mischief) dares(k kind, rng *rand.Rand, chance float64) bool {
	return chance > 0 && m.dare(k, rng.Float64() < chance)
}

// FaultNames lists what ParseFaults knows.
func FaultNames() []string {
	var names []string
	for _, k := range (&Faults{}).knobs() {
		names = append(names, k.name)
	}
	return names
}
