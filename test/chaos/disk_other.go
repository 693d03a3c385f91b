//go:build !linux

package main

import (
	"errors"
	"io"
)

// Full disks need Linux; everything else is broken here, too.
func inOwnMounts([]string, io.Writer) (code int, done bool) { return 0, false }

func mountSmall(string) error     { return errors.ErrUnsupported }
func unmountSmall(string) error   { return errors.ErrUnsupported }
func shrinkSmall(string) error    { return errors.ErrUnsupported }
func growSmall(string) error      { return errors.ErrUnsupported }
func limitWrites(int, bool) error { return errors.ErrUnsupported }
