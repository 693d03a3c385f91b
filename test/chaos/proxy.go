package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// weather is what a link does to what passes.
type weather struct {
	stalled bool          // nothing passes; what waits passes later, late messages included
	refused bool          // connections break and none is made
	delay   time.Duration // one way, of everything
	bytes   int           // in a second, both ways each; 0: as fast as they come
	breaks  time.Duration // connections break after so long; 0: they don't
}

// link is one way of the network: whoever dials it speaks to target, as the weather allows.
type link struct {
	target   string
	listener net.Listener
	conns    sync.WaitGroup

	mu      sync.Mutex // guards the rest
	weather weather
	changed chan struct{} // closed when the weather changes
	open    map[net.Conn]struct{}
	closed  bool
}

func openLink(name, target string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	l := &link{target: target, listener: listener, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	l.conns.Go(l.accept) // ended by close
	return l, nil
}

func (l *link) address() string { return l.listener.Addr().String() }

// close ends the link and everything that passes.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.listener.Close() // nothing is lost by a failure: its goroutine ends with the process
	l.set(weather{refused: true})
	l.conns.Wait()
}

// set changes the weather, also for what is under way.
func (l *link) set(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather = w
	close(l.changed)
	l.changed = make(chan struct{})
	if w.refused {
		for c := range l.open {
			reset(c)
		}
	}
}

// cut breaks what is open, and nothing else.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		reset(c)
	}
}

// reset closes without a farewell, as a dead machine does.
func reset(c net.Conn) {
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetLinger(0) // or with one
	}
	_ = c.Close() // of which nobody wants to hear
}

func (l *link) now() (weather, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.weather, l.changed
}

// keep remembers a connection; false: the weather doesn't allow it.
func (l *link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.weather.refused {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

func (l *link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

func (l *link) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l.conns.Go(func() { l.carry(c) })
	}
}

// carry connects one caller with the target until either end, or the weather, ends it.
func (l *link) carry(caller net.Conn) {
	defer reset(caller)
	if !l.keep(caller) {
		return
	}
	defer l.forget(caller)
	target, err := net.DialTimeout("tcp", l.target, time.Second)
	if err != nil {
		return
	}
	defer reset(target)
	if !l.keep(target) {
		return
	}
	defer l.forget(target)
	if w, _ := l.now(); w.breaks > 0 {
		timer := time.AfterFunc(w.breaks, func() { reset(caller) })
		defer timer.Stop()
	}
	var ways sync.WaitGroup
	ways.Go(func() { l.pump(caller, target) })
	ways.Go(func() { l.pump(target, caller) })
	ways.Wait()
}

// parcel is some bytes and when they have been under way long enough.
type parcel struct {
	bytes []byte
	due   time.Time
}

// What is under way on a connection is bounded; then the sender waits, as behind a full socket buffer.
const (
	parcelBytes  = 32 << 10
	parcelsOnWay = 64
)

// pump carries bytes one way, each as late as the weather has it, and closes both ends when either does.
func (l *link) pump(from, to net.Conn) {
	way := make(chan parcel, parcelsOnWay)
	ended := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(way)
		for {
			b := make([]byte, parcelBytes)
			n, err := from.Read(b)
			if n > 0 {
				w, _ := l.now()
				select {
				case way <- parcel{b[:n], time.Now().Add(w.delay)}:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range way {
		if !l.await(p) {
			break
		}
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	close(ended)
	reset(from)
	reset(to)
	reader.Wait()
}

// await returns when a parcel may arrive; false: the connection is to break.
func (l *link) await(p parcel) bool {
	for {
		w, changed := l.now()
		wait := time.Until(p.due)
		if w.bytes > 0 {
			wait = max(wait, time.Duration(len(p.bytes))*time.Second/time.Duration(w.bytes))
		}
		switch {
		case w.refused:
			return false
		case w.stalled:
			<-changed
		case wait <= 0:
			return true
		default:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
				if w, _ := l.now(); !w.stalled && !w.refused {
					return true
				}
			case <-changed:
			}
			timer.Stop()
		}
	}
}
