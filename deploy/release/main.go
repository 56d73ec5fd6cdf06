// Command release builds everything that a version publishes, in deploy/release/dist:
//
//	main.go       the version, its section of CHANGELOG.md, the order of the steps
//	archives.go   programs and archives
//	documents.go  what is beside the program
//	packages.go   .deb and .rpm, by nfpm with nfpm.yaml; the Helm chart
//	image.go      the OCI image layout
//	sbom.go       what is in a program (CycloneDX)
//	sums.go       checksums and their signature
//
// It runs from the top of the tree: go run ./deploy/release v1.2.3. Equal sources, Go
// toolchain and certificates give equal bytes, in any folder and on any machine. It needs
// no service: only the modules, which may be in Go's cache (GOPROXY=off).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one version, and what its steps share.
type release struct {
	version string    // as in semver.org 2.0, without the v
	commit  string    // its full hash
	notes   string    // its section of CHANGELOG.md
	time    time.Time // of every file
	dist    string    // folder of the results
	work    string    // folder of what the packages contain

	documents map[string][]byte // by their path in the tree

	toolchain    string // of go.mod
	certificates string // path of the image's authorities (PEM)
	key          string // path of the SSH key that signs; "" for none
	source       string // URL of the repository; "" if it has none
}

type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

func run(args []string) error {
	r := &release{}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	platforms := flags.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64", "what to build for")
	flags.StringVar(&r.dist, "dist", "deploy/release/dist", "folder of the results, which must be empty")
	flags.StringVar(&r.key, "key", os.Getenv("RELEASE_KEY"), "SSH key that signs SHA256SUMS, or its public part if ssh-agent has it (RELEASE_KEY)")
	flags.StringVar(&r.source, "source", os.Getenv("RELEASE_SOURCE"), "URL of the repository, for the packages and the image's labels (RELEASE_SOURCE)")
	flags.StringVar(&r.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "authorities in the image (PEM)")
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		args = append([]string{""}, args...)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q; expected VERSION [--flags]", flags.Arg(0))
	}
	if err := r.read(args[0]); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dist, 0o755); err != nil {
		return err
	}
	if rest, err := os.ReadDir(r.dist); err != nil || len(rest) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty; remove it first", r.dist))
	}
	var err error
	if r.work, err = os.MkdirTemp("", "release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	return r.build(strings.Split(*platforms, ","))
}

// build makes every file of the release.
func (r *release) build(platforms []string) error {
	if err := r.writeDocs(); err != nil {
		return err
	}
	var images []image
	for _, name := range platforms {
		system, arch, _ := strings.Cut(name, "/")
		p := platform{system, arch}
		fmt.Println("release:", name)
		program, err := r.buildProgram(p)
		if err != nil {
			return err
		}
		if err := r.writeSBOM(p, program); err != nil {
			return fmt.Errorf("SBOM of %s: %w", p, err)
		}
		if err := r.writeArchive(p, program); err != nil {
			return err
		}
		if p.os != "linux" {
			continue
		}
		if err := r.writePackages(p); err != nil {
			return err
		}
		images = append(images, image{p.arch, program})
	}
	if len(images) > 0 {
		if err := r.writeImage(images); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	if err := r.writeChart(); err != nil {
		return err
	}
	return r.writeSums()
}

// semantic is a version as in semver.org 2.0, without build metadata, which is not
// allowed in an image's tag.
var semantic = regexp.MustCompile(`^v((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?)$`)

// read reads what the tree says about the version.
func (r *release) read(version string) error {
	m := semantic.FindStringSubmatch(version)
	if m == nil {
		return fmt.Errorf("%q is not a semantic version; write it as v1.2.3 or v1.2.3-rc.1", version)
	}
	r.version = m[1]
	goMod, err := os.ReadFile("go.mod")
	if err != nil {
		return fmt.Errorf("run it from the top of the tree: %w", err)
	}
	toolchain := regexp.MustCompile(`(?m)^toolchain (\S+)$`).FindSubmatch(goMod)
	if toolchain == nil {
		return errors.New("go.mod has no line toolchain, which a reproducible build needs")
	}
	r.toolchain = string(toolchain[1])
	if err := r.readChangelog(); err != nil {
		return err
	}
	return r.readCommit()
}

// readChangelog reads the version's section, and from its date the time of all files,
// unless SOURCE_DATE_EPOCH is set (reproducible-builds.org).
func (r *release) readChangelog() error {
	text, err := os.ReadFile("deploy/CHANGELOG.md")
	if err != nil {
		return err
	}
	_, rest, found := strings.Cut("\n"+string(text), "\n## ["+r.version+"] - ")
	date, rest, _ := strings.Cut(rest, "\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	if r.notes = strings.TrimSpace(section) + "\n"; !found || r.notes == "\n" {
		return fmt.Errorf("deploy/CHANGELOG.md has no text under `## [%s] - YYYY-MM-DD`; write what an operator must know", r.version)
	}
	if r.time, err = time.Parse(time.DateOnly, date); err != nil {
		return fmt.Errorf("deploy/CHANGELOG.md: version %s: %w", r.version, err)
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		r.time = time.Unix(seconds, 0).UTC()
	}
	return nil
}

// readCommit reads the commit from COMMIT, or else from Git, whose tree must be clean.
func (r *release) readCommit() error {
	if r.commit = os.Getenv("COMMIT"); r.commit != "" {
		return nil
	}
	commit, err := output(nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return fmt.Errorf("%w; outside of a Git checkout set COMMIT", err)
	}
	changed, err := output(nil, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("the tree differs from its commit; commit or remove this first:\n%s", changed)
	}
	r.commit = strings.TrimSpace(commit)
	return nil
}

// path returns the path of a result, named loginhub_1.2.3_SUFFIX.
func (r *release) path(suffix string) string {
	return filepath.Join(r.dist, "loginhub_"+r.version+"_"+suffix)
}

// output runs a program with further variables, and returns its standard output.
func output(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, failed.String(), out)
	}
	return string(out), nil
}
