// Package linear says, in porcupine's terms, which histories of one transfer and of one account are linearizable.
// It never watches anything itself: whoever does hands it what was asked and answered, and when.
//
// A history belongs to one transfer id, or to one account from a moment at which its balance was known. What
// got no answer may take effect at any time after it was asked, or never.
//
// Source: Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects", 1990; the checker is
// the one of Anish Athalye's porcupine.
package linear
