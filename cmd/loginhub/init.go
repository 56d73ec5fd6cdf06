package main

import (
	_ "embed"
	"fmt"
	"os"
)

// initCmd is `loginhub init`.
type initCmd struct {
	File string `arg:"" default:"loginhub.yaml" help:"Path of the new file; an existing one is not overwritten."`
	For  string `env:"-" enum:"sandbox,production" default:"sandbox" help:"sandbox, to try it on this machine, or production."`
}

//go:embed init_sandbox.yaml
var initSandbox string

//go:embed init_production.yaml
var initProduction string

// Run writes the file.
func (i initCmd) Run() error {
	text := initSandbox
	if i.For == "production" {
		text = initProduction
	}
	f, err := os.OpenFile(i.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	_, err = f.WriteString(text)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	fmt.Printf("%s is written; edit it, then: loginhub config check --config %s && loginhub --config %s\n", i.File, i.File, i.File)
	return nil
}
