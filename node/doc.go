// Package node is one process of a cluster: it runs a lane, carries out its effects and brings back what happened.
//
// It never decides anything about money or leadership: those are in the lane. It is the only room that reads
// the clock, logs and measures.
//
// Four goroutines do the work, each with one queue: the loop steps the lane, the disk syncs what
// the steps wrote, another one makes checkpoints durable beside that, and the transport's own deliver what peers sent. While the disk writes, events gather and make the
// next batch. Stop ends them in the order loop, disk, checkpoints, transport, storage; a failed write, a
// broken invariant or damaged state ends the node at once, and Failed says why.
package node
