package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd is `loginhub completion`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish: source <(loginhub completion bash), or loginhub completion fish | source."`
}

// Run prints the script. It completes commands, and the flags of each command.
func (c completionCmd) Run(k *kong.Context) error {
	if c.Shell == "fish" {
		fmt.Print(fishCompletion(k.Model.Node))
		return nil
	}
	if c.Shell == "zsh" {
		fmt.Println("autoload -U +X compinit bashcompinit && compinit && bashcompinit")
	}
	fmt.Print(bashCompletion(k.Model.Node))
	return nil
}

// bashCompletion returns a script with one case for each command.
func bashCompletion(root *kong.Node) string {
	var cases strings.Builder
	for _, child := range root.Children {
		fmt.Fprintf(&cases, "  %s) words=%q ;;\n", child.Name, strings.Join(append(completionWords(child), completionWords(root)[len(root.Children):]...), " "))
	}
	return fmt.Sprintf(`_loginhub() {
  local words=%q
  case ${COMP_WORDS[1]} in
%s  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _loginhub loginhub
`, strings.Join(completionWords(root), " "), cases.String())
}

// completionWords returns a command's own commands and flags.
func completionWords(n *kong.Node) (words []string) {
	for _, child := range n.Children {
		words = append(words, child.Name)
	}
	for _, f := range n.Flags {
		words = append(words, "--"+f.Name)
	}
	return words
}

// fishCompletion returns a line for each command and flag.
func fishCompletion(root *kong.Node) string {
	var b strings.Builder
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	for _, child := range root.Children {
		fmt.Fprintf(&b, "complete -c loginhub -n __fish_use_subcommand -f -a %s -d %s\n", child.Name, quote(child.Help))
		of := "-n '__fish_seen_subcommand_from " + child.Name + "'"
		for _, grandchild := range child.Children {
			fmt.Fprintf(&b, "complete -c loginhub %s -f -a %s -d %s\n", of, grandchild.Name, quote(grandchild.Help))
		}
		for _, f := range child.Flags {
			fmt.Fprintf(&b, "complete -c loginhub %s -l %s -d %s\n", of, f.Name, quote(f.Help))
		}
	}
	for _, f := range root.Flags {
		fmt.Fprintf(&b, "complete -c loginhub -l %s -d %s\n", f.Name, quote(f.Help))
	}
	return b.String()
}
