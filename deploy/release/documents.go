package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// firstDocuments are the documents that an operator begins with, and files that they
// name without a link.
var firstDocuments = []string{"README.md", "deploy/README.md", "deploy/systemd/loginhub.sysusers"}

var relativeLink = regexp.MustCompile(`\]\(([^)\s#]+)[^)\s]*\)|src="([^"]+)"`)

// documents returns what is shipped beside the program, by path in the tree: the first
// documents and everything that they link to, so that no link is dead. Go sources are
// left out. Of a linked folder it has the files, but not the folders.
func documents() (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, name := range []string{"LICENSE", "cmd/loginhub/init_production.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil && name != "LICENSE" {
			return nil, err
		}
		if err == nil {
			all[strings.Replace(name, "cmd/loginhub/init_production.yaml", "loginhub.yaml", 1)] = text
		}
	}
	for todo := slices.Clone(firstDocuments); len(todo) > 0; {
		path := todo[0]
		linked, err := addDocument(all, path)
		if err != nil {
			return nil, err
		}
		todo = append(todo[1:], linked...)
	}
	return all, nil
}

// addDocument adds a file, and returns what it links to, or the files of a folder.
func addDocument(all map[string][]byte, path string) (linked []string, err error) {
	if _, has := all[path]; has || filepath.Ext(path) == ".go" {
		return nil, nil
	}
	if entries, err := os.ReadDir(path); err == nil {
		for _, e := range entries {
			if e.Type().IsRegular() {
				linked = append(linked, filepath.Join(path, e.Name()))
			}
		}
		return linked, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // in a block of code
		return nil, nil
	}
	if all[path] = text; filepath.Ext(path) == ".md" {
		for _, m := range relativeLink.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1]+m[2], ":") {
				linked = append(linked, filepath.Join(filepath.Dir(path), m[1]+m[2]))
			}
		}
	}
	return linked, err
}
