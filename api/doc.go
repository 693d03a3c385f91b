// Package api is what the world may ask of a node: gRPC, and HTTP with JSON.
//
// It never decides anything about money: it reads requests, checks what a request alone can show, asks its Backend and
// translates the answer. Both faces do the same through one desk, and give the same codes for the same faults.
//
// The host's duties:
//
//  1. Give listeners that are bound, and a Backend whose errors wrap a *transfer.Error.
//  2. Say in Config.OnPanic which panics the process survives.
//  3. Call Stop before the Backend goes away.
//
// Invariants:
//   - an error says retryable only if nothing was changed
//   - a transfer that was aborted is an answer, never an error
//   - whoever hears that an outcome is unknown hears the id to ask with
//
// Sources: RFC 9457 (problem details), RFC 7240 (Prefer), RFC 9562 §5.8 (UUIDv8), the Idempotency-Key draft of the IETF's httpapi group.
package api
