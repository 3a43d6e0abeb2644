# A parent and a child that compute in turns, with pipes between them and an alarm in each.
#
# Usage: perl partner.pl STEPS ROUNDS
use strict;
use warnings;
use IO::Handle;
use POSIX ();
use Time::HiRes qw(setitimer ITIMER_REAL usleep);

my ($steps, $rounds) = @ARGV;
my $ticks = 0;

# Arithmetic that stays below 2**53, so that it does not depend on the size of integers.
sub advance {
	my ($state) = @_;
	$state = ($state * 16807 + 11) % 2147483647 for 1 .. $rounds;
	return $state;
}

pipe(my $from_parent, my $to_child) or die "pipe: $!";
pipe(my $from_child, my $to_parent) or die "pipe: $!";
$_->autoflush(1) for $to_child, $to_parent, \*STDOUT;
$SIG{ALRM} = sub { $ticks++ };

my $child = fork() // die "fork: $!";
if ($child == 0) {
	close $to_child;
	close $from_child;
	open(my $log, '>', 'child.txt') or die "child.txt: $!";
	setitimer(ITIMER_REAL, 0.015, 0.015);
	# An alarm does not end <>: perl goes on reading.
	while (my $line = <$from_parent>) {
		my ($step, $state) = split ' ', $line;
		my $seen = $ticks;
		usleep(2000) while $ticks <= $seen;
		print $log "child $step $state\n";
		print $to_parent "$step ", advance($state), "\n";
	}
	close $log or die "child.txt: $!";
	POSIX::_exit(5);
}
close $from_parent;
close $to_parent;
setitimer(ITIMER_REAL, 0.01, 0.01);
my $state = 1;
for my $step (0 .. $steps - 1) {
	my $seen = $ticks;
	usleep(2000) while $ticks <= $seen;
	$state = advance($state);
	print $to_child "$step $state\n";
	my $answer = <$from_child> // die "the child is gone";
	(my $told, $state) = split ' ', $answer;
	die "the child answered $told" if $told != $step;
	print "step $step $state\n";
}
close $to_child;
waitpid($child, 0);
# At its end perl takes its handlers back, and an alarm would kill it.
setitimer(ITIMER_REAL, 0);
print "child ", $? >> 8, "\n";
print "done\n";
