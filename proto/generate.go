// Package proto holds what travels and what is stored, as Protocol Buffers.
//
// It has no code of its own: every package below it is generated from the .proto file beside it.
//
//   - quorate/v1: what clients ask (stable; checked by buf breaking)
//   - quorate/admin/v1: what operators ask
//   - quorate/peer/v1: what nodes of one cluster say to each other
//   - quorate/store/v1: what state machines write into logs and snapshots
package proto

//go:generate go -C .. tool -modfile=tools/go.mod buf generate
