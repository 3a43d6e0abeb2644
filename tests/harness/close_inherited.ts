/**
 * For bash: closes what was inherited beyond the standard streams, since whoever runs the tests may have left anything
 * open. A tree that has it is refused where others have it, too.
 */
export const CLOSE_INHERITED =
  'for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done';
