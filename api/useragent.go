package api

import (
	"regexp"
	"strings"

	"github.com/mileusna/useragent"
)

// maxUserAgent bounds how much of a User-Agent is looked at.
const maxUserAgent = 512

// browsers are the names of the library that are shown, and how. A page that is
// not a browser writes what it likes into its User-Agent, and the library takes
// any word of it for a name: "Approved by your IT desk/1.0" would stand on the
// screen where a person decides. So nothing but these is ever shown.
var browsers = map[string]string{
	useragent.Chrome: "Chrome", useragent.HeadlessChrome: "Headless Chrome", useragent.Edge: "Edge",
	useragent.Firefox: "Firefox", useragent.Safari: "Safari", useragent.InternetExplorer: "Internet Explorer",
	useragent.Opera: "Opera", useragent.OperaMini: "Opera Mini", useragent.OperaTouch: "Opera Touch",
	useragent.Vivaldi: "Vivaldi", useragent.SamsungBrowser: "Samsung Browser",
	"Huawei Browser": "Huawei Browser", "Miui Browser": "Miui Browser", "Android browser": "Android browser",
}

// uaTokens are those of browsers that the library does not find, in the order in
// which they are looked for: WeChat's own names QQ's as well.
var uaTokens = []struct{ token, name string }{
	{"MicroMessenger/", "WeChat"},
	{"QQBrowser/", "QQ Browser"}, // MQQBrowser too
	{"UCBrowser/", "UC Browser"},
	{"UBrowser/", "UC Browser"},
	{"QihooBrowser/", "360 Browser"},
	{"360SE/", "360 Browser"},
	{"QuarkPC/", "Quark"},
	{"Quark/", "Quark"},
	{"HuaweiBrowser/", "Huawei Browser"}, // where the library sees "Mobile HuaweiBrowser"
	{"YaBrowser/", "Yandex Browser"},
	{"Maxthon/", "Maxthon"},
}

// systems are the library's names of systems, and how they are shown.
var systems = map[string]string{
	useragent.Windows: "Windows", useragent.WindowsPhone: "Windows Phone", useragent.MacOS: "macOS",
	useragent.Linux: "Linux", useragent.FreeBSD: "FreeBSD", useragent.ChromeOS: "ChromeOS",
	useragent.Android: "Android", useragent.IOS: "iOS", useragent.Harmony: "HarmonyOS", useragent.BlackBerry: "BlackBerry",
}

// majorVersion is a version up to its first dot. Longer than any browser's it could be
// a telephone number.
var majorVersion = regexp.MustCompile(`^([0-9]{1,4})(?:[^0-9]|$)`)

// parseUserAgent names browser and system as the User-Agent claims them, "" where it
// claims none that is known: "Chrome 150", "Windows".
func parseUserAgent(header string) (browser, system string) {
	header = header[:min(len(header), maxUserAgent)]
	ua := useragent.Parse(header)
	browser, version := browsers[ua.Name], ua.Version
	for _, known := range uaTokens {
		if _, after, found := strings.Cut(header, known.token); found {
			browser, version = known.name, after
			break
		}
	}
	if number := majorVersion.FindStringSubmatch(version); browser != "" && number != nil {
		browser += " " + number[1]
	}
	return browser, systems[ua.OS]
}
