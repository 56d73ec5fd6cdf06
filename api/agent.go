package api

import (
	"strings"

	"github.com/mileusna/useragent"
)

// maxAgent bounds how much of a User-Agent is looked at.
const maxAgent = 512

// agent names browser and system as the User-Agent claims them, "" where it
// does not say: "Chrome 150", "Windows".
func agent(header string) (browser, system string) {
	ua := useragent.Parse(header[:min(len(header), maxAgent)])
	major, _, _ := strings.Cut(ua.Version, ".")
	return strings.TrimSpace(ua.Name + " " + major), ua.OS
}
