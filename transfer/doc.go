// Package transfer holds the words of Quorate: what a client asks and what it is told.
//
// It never talks to anyone: plain values, their validation and their printed forms.
// Everything here is immutable once accepted and safe to share between goroutines as
// long as nobody writes to it.
//
// Invariants of an accepted Transfer (Validate):
//   - it has 2 to 256 legs, each with an amount above zero
//   - per currency, debits equal credits, so money is neither made nor lost
//   - its id and its content (Fingerprint) belong together for ever
package transfer
