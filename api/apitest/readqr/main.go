// Command readqr reads QR codes on screenshots, for tests that are not written in Go. Its arguments are PNG
// files. For each it prints the pixels of a module, or 0 if the modules are not all alike, and the text.
package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"os"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

const finder = 7 // modules of a finder pattern

func main() {
	for _, name := range os.Args[1:] {
		module, text, err := read(name)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		fmt.Println(module, text)
	}
}

func read(name string) (module int, text string, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		return 0, "", err
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		return 0, "", err
	}
	result, err := decode(bitmap, gozxing.DecodeHintType_TRY_HARDER)
	if err != nil { // the search for the patterns misses some codes that are whole
		result, err = decode(bitmap, gozxing.DecodeHintType_PURE_BARCODE)
	}
	if err != nil {
		return 0, "", fmt.Errorf("not read: %w", err)
	}
	return modulePixels(picture), result.GetText(), nil
}

func decode(bitmap *gozxing.BinaryBitmap, hint gozxing.DecodeHintType) (*gozxing.Result, error) {
	return qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{hint: true})
}

// modulePixels returns the width of each module in the rows of the upper finder patterns. It is 0 unless they
// are all alike, and purely black or white.
func modulePixels(picture image.Image) int {
	gray := func(x, y int) uint8 { return color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y }
	var code image.Rectangle
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if gray(x, y) < 128 {
				code = code.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	run := 0
	for gray(code.Min.X+run, code.Min.Y) < 128 {
		run++
	}
	module := run / finder
	if module == 0 || code.Dx()%module != 0 || code.Dx() != code.Dy() {
		return 0
	}
	for y := range finder * module {
		for x := range code.Dx() {
			corner := gray(code.Min.X+x/module*module, code.Min.Y+y/module*module)
			if got := gray(code.Min.X+x, code.Min.Y+y); got != corner || got != 0 && got != 255 {
				return 0
			}
		}
	}
	return module
}
