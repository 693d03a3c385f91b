//go:build mutants

package mutant

// active is the one bug that is switched on. It is set before anything runs, and only read afterwards.
var active Mutant

// On says whether a bug is switched on.
func On(m Mutant) bool { return m == active }

// Enable switches one bug on, and every other one off. "" is none. known is false for a name that no bug has.
func Enable(name string) (known bool) {
	if name == "" {
		active = 0
		return true
	}
	for _, b := range All {
		if b.Name == name {
			active = b.Mutant
			return true
		}
	}
	return false
}

// Active is the name of the bug that is switched on; "" if there is none.
func Active() string {
	for _, b := range All {
		if b.Mutant == active {
			return b.Name
		}
	}
	return ""
}
