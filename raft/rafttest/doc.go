// Package rafttest is the language that the plays of package raft are written in.
//
// It never decides whether a play is right: it prints what happens, and a human reads the
// difference. But it judges what must hold in every play (judge.go), and says VIOLATION.
//
// A play is a file for cockroachdb/datadriven: lines with one command each, then ----, then what
// happened. The network keeps messages until settle or deliver; a disk is done at once unless it is slow.
//
//	group 1 2 3 [spare=4,5] [election=10] …   who there is; spares are not members yet. More settings: Env.group
//	log 1 terms=1,1,2 [term=3] [vote=2] [commit=1] [compacted=5@2] [accepted=2]   what node 1's disk holds; it restarts
//	tick 1 [5]         time passes for one node; for all: tick all
//	campaign 1         ticks it until it campaigns
//	propose 1 a [term=2] · read 1 r1 · transfer 1 to=2 · change 1 add=4 learn=5 remove=2
//	settle             until nobody has anything to say
//	live 20            20 times: a tick for all, then settle; heartbeats are not printed
//	ready 1            takes what node 1 has to say, without delivering
//	deliver 1>2 [append]   what is on the way from 1 to 2, even if it is held
//	cut 1>2 · cut 1-2 · cut 1   loses what is sent there, until: heal
//	hold 1>2 … release 1>2      keeps it on the way
//	lose 1>2 · repeat 1>2 · reverse 1>2   what is on the way now; net shows it
//	disk 1 slow|fast · sync 1 [n]         slow disks wait for sync
//	machine 1 slow|fast · apply 1 [n]
//	unreachable 1 peer=2                  the transport gives up on 2
//	crash 1 [keep=1] · start 1            keep: writes under way that made it
//	checkpoint 1 · compact 1 to=5 · refuse-snapshot 1   the host can't give one
//	step 2>1 append term=3 index=5 logterm=2 entries=6@3 commit=5   a message made by hand
//	status [1] · progress 1 · entries 1 · hush · speak
//
// How to read: n1@2 is node 1 in term 2, 7@2 entry 7 of term 2. An arrow is a message that arrives,
// n1@2 → n3; ↛ is one that is lost.
package rafttest
