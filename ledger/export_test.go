package ledger

// WriteRunsOf is WriteRuns with so many entries or lines in a record at most.
func (l *Ledger) WriteRunsOf(most int) {
	l.WriteRuns()
	l.journal.run = most
}
