package main

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// nfpm makes .deb and .rpm. It is run by its version, so that its own dependencies stay
// out of go.mod; Go's checksum database verifies it.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"

// writeChart writes the Helm chart, whose image is by default that of the version.
func (r *release) writeChart() error {
	_, err := output([]string{r.epoch()}, "sh", "deploy/helm/package.sh", "v"+r.version, r.dist)
	return err
}

// epoch is the time of all files, as a variable.
func (r *release) epoch() string { return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.time.Unix(), 10) }

// writePackages writes the .deb and the .rpm.
func (r *release) writePackages(p platform) error {
	for _, kind := range []string{"deb", "rpm"} {
		_, err := output([]string{
			"GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH, // nfpm runs here, whatever the environment says
			"VERSION=" + r.version, "ARCH=" + p.arch, "PROGRAM=" + r.programPath(p), "WORK=" + r.work,
			"SOURCE=" + r.source, "MAINTAINER=" + cmp.Or(os.Getenv("RELEASE_MAINTAINER"), "loginhub <root@localhost>"),
			r.epoch(),
		}, "go", "run", nfpm, "package", "--config", filepath.Join("deploy", "release", "nfpm.yaml"), "--packager", kind, "--target", r.path(p.String()+"."+kind))
		if err != nil {
			return err
		}
	}
	return nil
}
