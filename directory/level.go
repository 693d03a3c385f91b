package directory

import "fmt"

// Level counts what the builds of a cluster may say to each other and write into logs that all of them read. A build that brings something which
// those before refuse brings a level with it, and uses it once the directory has come to that level: then every node can read it, for a node
// that can't would stop at the entry that raises the level, and can't begin with a directory that has it.
type Level uint32

// The levels.
const (
	LevelFirst Level = 1
	LevelHolds Level = 2 // transfers that are held until a client captures or voids them
	LevelLists Level = 2 // transfers that are numbered, and so can be listed and watched
	LevelRuns  Level = 3 // stored records that hold many places, entries or lines: a snapshot has them

	LevelNewest Level = 3 // what this build can read
)

// Level is what every node can read. It never goes back.
func (m *Machine) Level() Level { return m.level }

func (m *Machine) checkRaise(to Level) error {
	if to <= m.level {
		return refuse("level %d is reached already", m.level)
	}
	return nil
}

// readable refuses a level of a newer build.
func readable(l Level) error {
	switch {
	case l > LevelNewest:
		return fmt.Errorf("%w: level %d, this version reads up to %d", ErrNewerFormat, l, LevelNewest)
	case l <= LevelFirst:
		return fmt.Errorf("%w: level %d", ErrDamaged, l)
	}
	return nil
}
