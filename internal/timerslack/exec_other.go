//go:build !linux

package timerslack

import (
	"errors"
	"time"
)

// Exec returns: only Linux has a slack that can be chosen.
func Exec() {}

// Now fails for the same reason.
func Now() (time.Duration, error) { return 0, errors.ErrUnsupported }
