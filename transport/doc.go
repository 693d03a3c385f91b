// Package transport carries envelopes between the nodes of one cluster.
//
// It never looks at what it carries beyond whom it is for, and it promises nothing: an envelope may
// be lost, never invented, and between two living nodes they arrive in the order of sending.
// Raft and the lane repeat what matters.
//
// The host's duties:
//
//  1. Treat every envelope as lost until something answers it.
//  2. Let Deliver block as long as the host is busy: it is the back-pressure that slows the sender down.
//     But let it return when the host stops, because Stop waits for it.
//  3. Leave an envelope alone once it was handed to Send.
//
// Invariants:
//   - what waits for one peer is bounded by Config.QueueBytesMax; a slow or dead peer costs the others nothing
//   - nothing waits for a peer that isn't connected: stale messages would only delay the fresh ones
//   - Deliver hears a Raft message only from the node that the message says it is from
//   - with Keys, nobody is heard who hasn't proven to be that node
package transport
