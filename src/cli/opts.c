#include "config.h"
#include "src/cli/opts.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTS_MAX 48		/* of a command, the global ones included */
#define HELP_VALUE 1000		/* of getopt_long, behind every letter */

bool opts_size(uint64_t *out, const char *s)
{
	unsigned long long v;
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	v = strtoull(s, &end, 10);
	if (errno)
		return false;
	if (*end && strchr("kKmMgG", *end))
		shift = tolower((unsigned char)*end) == 'k' ? 10 :
			tolower((unsigned char)*end) == 'm' ? 20 : 30, end++;
	if (*end || v > (ULLONG_MAX >> shift))
		return false;
	*out = (uint64_t)v << shift;
	return true;
}

static int bad_value(const struct opt *o, const char *value, const char *want)
{
	if (o->name)
		return cli_usage("--%s wants %s, not '%s'", o->name, want, value);
	return cli_usage("-%c wants %s, not '%s'", o->letter, want, value);
}

static int store_value(const struct opt *o, void *base, const char *value)
{
	char *at = (char *)base + o->offset;
	struct str_list *list;
	uint64_t u = 0;
	double real;
	char *end;

	switch (o->type) {
	case OPT_FLAG:
		*(int *)(void *)at = 1;
		return 0;
	case OPT_INT:
		if (!opts_size(&u, value) || u > INT_MAX)
			return bad_value(o, value, "a whole number");
		*(int *)(void *)at = (int)u;
		return 0;
	case OPT_SIZE:
		if (!opts_size(&u, value))
			return bad_value(o, value, "a number");
		*(size_t *)(void *)at = u;
		return 0;
	case OPT_U64:
		if (!opts_size(&u, value))
			return bad_value(o, value, "a number");
		*(uint64_t *)(void *)at = u;
		return 0;
	case OPT_REAL:
		real = strtod(value, &end);
		if (!*value || *end || !isfinite(real) || real < 0)
			return bad_value(o, value, "a number that is not negative");
		*(double *)(void *)at = real;
		return 0;
	case OPT_STR:
		*(const char **)(void *)at = value;
		return 0;
	case OPT_LIST:
		list = (struct str_list *)(void *)at;
		if (list->n == STR_LIST_MAX)
			return cli_usage("--%s is given more than %d times", o->name, STR_LIST_MAX);
		list->s[list->n++] = value;
		return 0;
	}
	return 0;
}

int opts_parse(const struct opt_set *sets, size_t n_sets, int argc, char **argv, bool stop_early)
{
	struct option longs[OPTS_MAX + 2];
	const struct opt *by_value[OPTS_MAX];
	void *base[OPTS_MAX];
	char letters[2 * OPTS_MAX + 4];
	size_t n = 0, n_long = 0, n_letter = 0;
	int c;

	letters[n_letter++] = stop_early ? '+' : ':';
	if (stop_early)
		letters[n_letter++] = ':';
	for (size_t s = 0; s < n_sets; s++) {
		for (size_t i = 0; i < sets[s].n && n < OPTS_MAX; i++, n++) {
			const struct opt *o = &sets[s].opts[i];

			by_value[n] = o;
			base[n] = sets[s].base;
			if (o->letter) {
				letters[n_letter++] = o->letter;
				if (o->arg)
					letters[n_letter++] = ':';
			}
			if (o->name)
				longs[n_long++] = (struct option){
					o->name, o->arg ? required_argument : no_argument, NULL,
					HELP_VALUE + 1 + (int)n };
		}
	}
	letters[n_letter++] = 'h';
	letters[n_letter] = 0;
	longs[n_long++] = (struct option){ "help", no_argument, NULL, HELP_VALUE };
	longs[n_long] = (struct option){ 0 };

	optind = 0;	/* glibc: start afresh, also with another table */
	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		size_t i = 0;

		if (c == 'h' || c == HELP_VALUE)
			return -2;
		if (c == ':') {
			cli_usage("'%s' wants a value", argv[optind - 1]);
			return -1;
		}
		if (c == '?') {
			cli_usage("unknown option '%s'", argv[optind - 1]);
			return -1;
		}
		if (c > HELP_VALUE)
			i = (size_t)(c - HELP_VALUE - 1);
		else
			while (i < n && by_value[i]->letter != c)
				i++;
		if (store_value(by_value[i], base[i], optarg))
			return -1;
	}
	return optind;
}

void opts_help(const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &opts[i];
		char left[64];
		int at = 0;

		if (o->letter)
			at += snprintf(left + at, sizeof(left) - (size_t)at, "-%c%s", o->letter,
				       o->name ? ", " : "");
		else
			at += snprintf(left + at, sizeof(left) - (size_t)at, "    ");
		if (o->name)
			at += snprintf(left + at, sizeof(left) - (size_t)at, "--%s", o->name);
		if (o->arg)
			snprintf(left + at, sizeof(left) - (size_t)at, " %s", o->arg);
		printf("  %-26s %s\n", left, o->help);
	}
}
