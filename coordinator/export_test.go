package coordinator

// WriteRunsOf is WriteRuns with so many places in a record at most.
func (m *Machine) WriteRunsOf(most int) { m.run = most }
