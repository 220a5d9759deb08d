// The pattern oracle: what Docker's own matcher says of rules and paths.
//
// A line in is `RULE,RULE<TAB>PATH,PATH`, each in hex; a rule is what a line of an ignore
// file is after it was read (`!` first if it takes back). A line out is `error`, or a `1`
// for each path that is left out and a `0` for each that is kept.
//
// Paths are asked as builds ask them: from the root downwards, with what holds for the
// directory above.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
)

func unhex(list string) (texts []string) {
	if list == "" {
		return nil
	}
	for _, item := range strings.Split(list, ",") {
		text, err := hex.DecodeString(item)
		if err != nil {
			panic(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func ask(rules, paths []string) (string, error) {
	matcher, err := patternmatcher.New(rules)
	if err != nil {
		return "", err
	}
	// A pattern is compiled when it is first needed, so each is needed once here.
	for _, pattern := range matcher.Patterns() {
		// The matcher asks `filepath.Match`, of which older versions look no further than
		// the first star.
		if _, err := path.Match(pattern.String(), "."); err != nil {
			return "", err
		}
		if strings.Trim(pattern.String(), " /") == "" {
			continue // with a `!` it would be cleaned to nothing
		}
		probe, err := patternmatcher.New([]string{"**", "!" + pattern.String()})
		if err == nil {
			_, err = probe.MatchesOrParentMatches("x")
		}
		if err != nil {
			return "", err
		}
	}
	var answer strings.Builder
	for _, asked := range paths {
		leftOut, err := walk(matcher, asked)
		if err != nil {
			return "", err
		}
		answer.WriteByte(map[bool]byte{false: '0', true: '1'}[leftOut])
	}
	return answer.String(), nil
}

func walk(matcher *patternmatcher.PatternMatcher, asked string) (leftOut bool, err error) {
	var above patternmatcher.MatchInfo
	components := strings.Split(asked, "/")
	for depth := range components {
		here := strings.Join(components[:depth+1], "/")
		leftOut, above, err = matcher.MatchesUsingParentResults(here, above)
		if err != nil {
			return false, err
		}
	}
	return leftOut, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rules, paths, _ := strings.Cut(lines.Text(), "\t")
		answer, err := ask(unhex(rules), unhex(paths))
		if err != nil {
			answer = "error"
		}
		fmt.Println(answer)
	}
}
