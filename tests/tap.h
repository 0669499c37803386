/*
 * tap - the smallest thing that speaks TAP (testanything.org).
 *
 * ok() and friends print a line and never stop the test; tap_done() prints
 * the plan and gives main's return value.  One file per program includes it.
 */
#ifndef RAG_TESTS_TAP_H
#define RAG_TESTS_TAP_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 2, 3), unused))
static bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("%s %d - ", good ? "ok" : "not ok", ++tap_run);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	if (!good) {
		tap_failed++;
		if (err_msg()[0])
			printf("# last error: %s\n", err_msg());
	}
	fflush(stdout);
	return good;
}

__attribute__((unused))
static bool is_int(long long got, long long want, const char *name)
{
	bool good = ok(got == want, "%s", name);

	if (!good)
		printf("# got %lld, want %lld\n", got, want);
	return good;
}

__attribute__((unused))
static bool is_str(const char *got, const char *want, const char *name)
{
	bool good = ok(got && !strcmp(got, want), "%s", name);

	if (!good)
		printf("# got  '%s'\n# want '%s'\n", got ? got : "(null)", want);
	return good;
}

__attribute__((unused))
static void tap_skip(int n, const char *why)
{
	while (n-- > 0)
		printf("ok %d # SKIP %s\n", ++tap_run, why);
}

__attribute__((unused))
static int tap_done(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed ? 1 : 0;
}

#endif
