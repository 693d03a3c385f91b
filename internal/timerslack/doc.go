// Package timerslack has the kernel wake a process's threads a little later than they ask for.
//
// A program in Go has a thread, the runtime's monitor (sysmon), that naps for 20 µs at a time while anything is to be done, which Linux's usual slack of
// 50 µs makes some 75. Whoever waits for a disk or a peer a thousand times a second never lets it nap longer: on two processors that four such processes
// share, its naps were two fifths of all switches between threads and a fifth of the CPU. With Slack it naps for that long. What it is for can wait as
// much: to take a processor from whom the kernel keeps, and from whom has computed for 10 ms. A timer may come so much later, too, if nothing else is to be
// done.
package timerslack

import "time"

// Slack is how much later a thread may be woken.
const Slack = 2 * time.Millisecond

// Variable is the environment's. Set to anything, it leaves the slack as it is.
const Variable = "QUORATE_TIMER_SLACK"
