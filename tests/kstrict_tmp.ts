import { actAtMoment } from "/work/main/tests/harness/kill_at_call.ts";
import { Subject } from "/work/main/tests/harness/subject.ts";
const dir = Deno.makeTempDirSync({prefix:"ks-"});
let n=0; const fresh=()=>`${dir}/i${n++}`;
const start=()=>Subject.start(Deno.args[2]??"seccomp_strict",{args:Deno.args.slice(3)});
let s=await start();
const saving=(p:number)=>["checkpoint",String(p),"-D",fresh(),"--leave-running","--timeout","120"];
const {moments}=await actAtMoment(saving(s.pid),Infinity);
console.log("moments",moments);
const from=+Deno.args[0]!, step=+Deno.args[1]!;
let died=0,done=0;
for(let m=Math.floor(moments*from); m<moments; m+=step){
  const tree=(await import("/work/main/tests/harness/processes.ts")).processTree(s.pid);
  const run=await actAtMoment(saving(s.pid),m);
  await new Promise(r=>setTimeout(r,300));
  const dead=tree.filter((p:number)=>{try{return /^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${p}/status`))}catch{return true}});
  done++;
  if(dead.length){died++;console.log("DIED at",m,JSON.stringify({...run,stderr:undefined}).slice(0,200));await s[Symbol.asyncDispose]();s=await start();}
}
console.log("kills",done,"died",died);
await s[Symbol.asyncDispose]();
Deno.removeSync(dir,{recursive:true});
