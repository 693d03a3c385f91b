//go:build mutants

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/internal/mutant"
)

// mutantTag is how a binary with planted bugs is built.
const mutantTag = "-tags mutants"

var mutantFlag string

func addMutantFlag(cmd *cobra.Command) {
	var names []string
	for _, b := range mutant.All {
		names = append(names, b.Name)
	}
	cmd.Flags().StringVar(&mutantFlag, "mutant", "", "plant a bug: "+strings.Join(names, ", "))
}

func enableMutant() error { return enableMutantNamed(mutantFlag) }

func enableMutantNamed(name string) error {
	if !mutant.Enable(name) {
		return usagef("--mutant %q is not planted anywhere", name)
	}
	return nil
}

func mutantName() string { return mutant.Active() }
