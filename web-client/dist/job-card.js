function y({adopt:r,Base:l,formats:c,h:s,labels:g,LOOK:f}){let e=g.job;class b extends l{#s=null;#a=s("strong",{part:"name"});#o=s("span",{part:"status"});#l=s("span",{class:"unseen",role:"status"});#e=s("progress",{part:"progress",max:"1"});#c=s("span",{part:"text"});#t=s("pre",{part:"log",tabindex:"0"});#r=s("details",{part:"details"},s("summary",{},e.log),this.#t);#i=s("button",{type:"button",part:"button",class:"action"});#n=s("div",{class:"card",part:"card"});constructor(){super();let t=this.attachShadow({mode:"open"});r(t,f+E),this.#n.append(s("div",{class:"line"},this.#a,this.#o,this.#i),this.#e,this.#c,this.#r,this.#l),t.append(this.#n),this.#i.addEventListener("click",()=>{let i=a(this.#s)?"dismiss":"cancel";this.dispatchEvent(new CustomEvent(i,{bubbles:!0,composed:!0,detail:{job:this.#s?.id}}))}),this.#r.addEventListener("toggle",()=>this.#t.scrollTop=this.#t.scrollHeight)}connectedCallback(){if(!Object.hasOwn(this,"job"))return this.#d();let{job:t}=this;delete this.job,this.job=t}get job(){return this.#s}set job(t){if(t===this.#s)return;let i=this.#s;this.#s=t,this.#d(),i&&t&&i.id===t.id&&a(t)&&!a(i)&&(this.#l.textContent=`${t.name}: ${e.status[t.status]}`)}#d(){let t=this.#s;if(this.hidden=!t,!t)return;let{name:i,status:n,attempt:d,rank:u,eta_ms:h,progress:p,text:v,log:m=[]}=t;this.#n.className=`card ${C[n]??"info"}`,o(this.#a,i),o(this.#o,d>1?`${e.status[n]}, ${e.attempt(d)}`:e.status[n]??n),this.#e.hidden=n!=="running",this.#e.setAttribute("aria-label",i),p===null?this.#e.removeAttribute("value"):this.#e.value=p;let w=h!==null&&!a(t)&&c.duration?e.left(c.duration(h)):"";o(this.#c,[n==="queued"&&u!==null&&e.rank(u),v,w].filter(Boolean).join(" · ")),o(this.#i,a(t)?e.dismiss:e.cancel),this.#i.setAttribute("aria-label",`${this.#i.textContent}: ${i}`),this.#r.hidden=!m.length;let x=this.#t.scrollTop+this.#t.clientHeight>=this.#t.scrollHeight-4;o(this.#t,m.join(`
`)),x&&(this.#t.scrollTop=this.#t.scrollHeight)}}customElements.get("windlass-job")||customElements.define("windlass-job",b)}function a(r){return!!r&&r.status!=="queued"&&r.status!=="running"}function o(r,l){r.textContent!==l&&(r.textContent=l)}var C={done:"success",failed:"error",timed_out:"error",lost:"error",cancelled:"warning"},E=`
:host { position: static; z-index: auto; display: block; pointer-events: auto; }
.card { display: grid; gap: 0.375rem; padding: 0.625rem 0.875rem; border-inline-start: 4px solid var(--accent); box-shadow: none; }
.line { display: flex; align-items: center; gap: 0.75rem; }
strong { flex: 1; min-width: 0; overflow-wrap: anywhere; font-weight: 600; }
[part=status] { color: var(--accent); }
[part=text] { color: var(--dim); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
[part=text]:empty { display: none; }
progress { width: 100%; accent-color: var(--accent); }
.action { padding: 0.125rem 0.75rem; border: 1px solid var(--line); }
.action:hover { background: color-mix(in srgb, currentColor 12%, transparent); }
summary { cursor: pointer; color: var(--dim); }
pre { margin: 0.25rem 0 0; max-height: 12rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: 0.8125rem/1.4 ui-monospace, monospace; }
summary:focus-visible, pre:focus-visible { outline: 2px solid var(--info); outline-offset: 1px; }
.info { --accent: var(--info); }
.success { --accent: var(--success); }
.warning { --accent: var(--warning); }
.error { --accent: var(--error); }
`;export{y as default};
//# sourceMappingURL=job-card.js.map
