package etcdraft

import (
	"github.com/quorate/quorate/internal/invariant"
)

// silence is the logger of etcd's core: dry rooms don't log. What it would panic with is a broken promise.
type silence struct{}

func (silence) Debug(...any)            {}
func (silence) Debugf(string, ...any)   {}
func (silence) Info(...any)             {}
func (silence) Infof(string, ...any)    {}
func (silence) Warning(...any)          {}
func (silence) Warningf(string, ...any) {}
func (silence) Error(...any)            {}
func (silence) Errorf(string, ...any)   {}

func (silence) Fatal(v ...any)                 { invariant.Fail("etcd's core: %v", v) }
func (silence) Fatalf(format string, v ...any) { invariant.Fail("etcd's core: "+format, v...) }
func (silence) Panic(v ...any)                 { invariant.Fail("etcd's core: %v", v) }
func (silence) Panicf(format string, v ...any) { invariant.Fail("etcd's core: "+format, v...) }
